"""Students leave the place where they were trained: export to a folder that acts without PyTorch."""

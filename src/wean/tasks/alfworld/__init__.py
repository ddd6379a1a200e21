"""ALFWorld's 3,827 text games, played from their facts alone."""

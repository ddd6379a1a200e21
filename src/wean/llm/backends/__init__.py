"""The ways to reach a language model; each file is one, and none knows of the ledger."""

"""One door to every language model, with the ledger that remembers every answer and its cost."""

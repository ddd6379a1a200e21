"""Where an agent acts. Knows nothing of language models or of learning."""

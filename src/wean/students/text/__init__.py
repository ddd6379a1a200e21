"""Students that read: model, prompt, decoding."""

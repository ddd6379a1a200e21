"""From a language model's answers to guidance: distributions over plans and actions."""

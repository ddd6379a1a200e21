"""Files of demonstrations and their formats. Knows tasks and language models, but nothing of learning."""

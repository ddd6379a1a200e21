"""Local language models: fetch, load, generate, score candidates. Knows nothing of tasks."""

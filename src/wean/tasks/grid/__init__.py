"""Rooms with doors and keys: LLM4Teach's MiniGrid tasks, with a partial and remembered observation."""

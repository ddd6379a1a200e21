"""Demonstrations, annotations and replay: files and their formats."""

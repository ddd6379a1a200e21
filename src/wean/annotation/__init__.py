"""Sub-goals on demonstrations: asked of a language model, carried over to like demonstrations, looked at, corrected."""

"""wean: train small agents that no longer need their language model."""

__version__ = "0.1.0"

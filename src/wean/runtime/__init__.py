"""An exported student acts, with numpy and onnxruntime alone: no PyTorch, no Gymnasium.

    import wean_runtime

    policy = wean_runtime.load("exported")      # a folder that `wean export` wrote
    policy.reset(seed=1)                        # an episode begins
    action = policy.act(observation)            # a number; policy.actions names it

The same files are the distribution `wean-runtime`, imported as `wean_runtime`, and the room `wean.runtime` of wean, so
that an exported student acts alike in both. Nothing in here imports the rest of wean.
"""

from .folder import ExportError, PolicyError
from .policy import ArrayPolicy, ReadingPolicy, ValuesPolicy, load
from .reading import Sight

__all__ = ["ArrayPolicy", "ExportError", "PolicyError", "ReadingPolicy", "Sight", "ValuesPolicy", "load"]

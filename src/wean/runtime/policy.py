"""Policies of exported students: on arrays and numbered states, on situations in words, and those that read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .acting import NoRepeat, sample, sample_one
from .folder import ACTING, Folder, PolicyError
from .observations import Observations
from .reading import Reader, Sight, open_network, open_reader, sight_of
from .values import Values

READS = "text"
"""The type of students that read."""
_NOT_FRESH = np.zeros(1, bool)


def load(folder: str | Path, acting: str | None = None, threads: int = 1) -> ArrayPolicy | ValuesPolicy | ReadingPolicy:
    """Loads an exported student.

    Args:
        folder: What `wean export` wrote.
        acting: `sampled`, `greedy` or `no_repeat`; as its run shipped it by default.
        threads: Threads of a network; more than one pays for large batches only.

    Raises:
        ExportError: The folder holds no exported student, or a damaged one.
        PolicyError: The student cannot act so.
    """
    found = Folder(Path(folder))
    chosen = acting or found.field("acting", str)
    reads = found.field("type", str) == READS
    in_words = reads or found.field("observation", dict).get("words") is True
    possible = ACTING[1:] if reads else ACTING[:2] if in_words else ACTING
    if chosen not in possible:
        raise PolicyError(f"this student cannot act {chosen!r}; choose {' or '.join(possible)}")
    if reads:
        return ReadingPolicy(found, chosen, threads)
    return ValuesPolicy(found, chosen, threads) if in_words else ArrayPolicy(found, chosen, threads)


class _Policy:
    """What all kinds of policy share.

    Attributes:
        task: The task that the student was trained on.
        actions: Names of its actions, where they have names; of a student that values words none.
        acting: `sampled`, `greedy` or `no_repeat`.
    """

    def __init__(self, folder: Folder, acting: str) -> None:
        self.task: str = folder.field("task", str)
        self.actions: tuple[str, ...] = tuple(folder.field("actions", list))
        self.acting = acting
        self._random = np.random.default_rng()


class ArrayPolicy(_Policy):
    """A student that sees arrays or numbered states, in one environment or in a batch of them.

    ```python
    policy = wean_runtime.load("exported")
    policy.reset(seed=1)                          # one environment
    action = policy.act(observation)
    policy.reset(seed=1, members=8)               # eight side by side
    actions = policy.act(observations, starts)    # starts[i]: with observations[i] an episode begins
    ```

    Attributes:
        observations: What it can be shown.
        num_actions: Number of its actions.
        memory_size: Numbers that it remembers; 0 for none.
    """

    def __init__(self, folder: Folder, acting: str, threads: int = 1) -> None:
        super().__init__(folder, acting)
        self.memory_size: int = folder.field("memory", int)
        self.num_actions: int = folder.field("num_actions", int)
        self.observations = Observations(folder)
        session = folder.session("model.onnx", threads)
        inputs, outputs = (["observation"], ["probabilities"])
        if self.memory_size:
            inputs, outputs = ([*inputs, "memory", "start"], [*outputs, "memory_after"])
        found = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()]
        if found != (inputs, outputs) or session.get_outputs()[0].shape[1:] != [self.num_actions]:
            raise folder.damaged("model.onnx and config.json do not belong together")
        self._session = session
        # One for the environment that `act` acts in, one for whoever keeps the memory.
        self._step, self._one = (
            _Step(session, self.observations, self.memory_size, self.num_actions) for _ in range(2)
        )
        self.reset()

    def reset(self, seed: int | None = None, members: int | None = None) -> None:
        """Begins an episode.

        Args:
            seed: Seeds the draws of `sampled`; without one they go on.
            members: Environments side by side, of which `act` then takes a batch; None for one alone.
        """
        if seed is not None:
            self._random = np.random.default_rng(seed)
        count = 1 if members is None else members
        if count < 1:
            raise PolicyError(f"there cannot be {count} members; leave it out for one environment")
        self._members = members
        self._memory = self._step.memory if members is None else self.first_memory(count)
        self._memory[:] = 0
        self._fresh = np.ones(count, bool)
        self._no_repeat = [NoRepeat() for _ in range(count)] if self.acting == "no_repeat" else []

    def first_memory(self, members: int) -> NDArray[np.float32]:
        """The memory (members, memory_size) at the start of an episode."""
        return np.zeros((members, self.memory_size), np.float32)

    def act(self, observation: Any, starts: NDArray[np.bool_] | None = None) -> Any:
        """Returns the number of the action for an observation, or of a batch the numbers (members,).

        Args:
            observation: As the environment gives it: an array, a state's number, or a mapping with an `image`; of
                members side by side all of theirs stacked.
            starts: (members,) True where an episode begins with the observation; all after `reset`, none otherwise.

        Raises:
            PolicyError: The observation is none that this student sees.
        """
        if starts is not None:
            self._restart(np.asarray(starts))
        if self._members is None:
            return self._act_alone(self.observations.one(observation))
        seen = self.observations.many(observation, self._members)
        probabilities, self._memory = self.run(seen, self._memory, self._fresh)
        self._fresh = np.zeros_like(self._fresh)
        if self.acting == "sampled":
            return sample(probabilities, self._random.random(self._members))
        if self.acting == "greedy":
            return probabilities.argmax(1)
        rows = zip(self._no_repeat, seen, probabilities, strict=True)
        return np.array([one.choose(sight, row) for one, sight, row in rows])

    def _act_alone(self, seen: NDArray[Any]) -> int:
        row = self._step.run(seen, bool(self._fresh[0]))
        self._fresh = _NOT_FRESH
        if self.acting == "sampled":
            return sample_one(row.tolist(), self._random.random())
        return int(row.argmax()) if self.acting == "greedy" else self._no_repeat[0].choose(seen[0], row)

    def probabilities(
        self, observations: NDArray[Any], memory: NDArray[np.float32], starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Action probabilities (N, A) of N observations, and the memory (N, memory_size) after them.

        Raises:
            PolicyError: The observations are none that this student sees.
        """
        return self.run(self.observations.many(observations, len(observations)), memory, starts)

    def run(
        self, observations: NDArray[Any], memory: NDArray[np.float32], starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """As `probabilities`, for observations that are known to be right; what it returns for one is overwritten."""
        if len(observations) == 1:
            self._one.memory[:] = memory
            return self._one.run(observations, bool(starts[0]))[None], self._one.memory
        if not self.memory_size:
            (probabilities,) = self._session.run(("probabilities",), {"observation": observations})
            return probabilities, memory
        given = {"observation": observations, "memory": memory, "start": starts}
        probabilities, memory = self._session.run(("probabilities", "memory_after"), given)
        return probabilities, memory

    def _restart(self, starts: NDArray[Any]) -> None:
        if starts.shape != self._fresh.shape or starts.dtype != np.bool_:
            raise PolicyError(
                f"starts must be {len(self._fresh)} truth values, one a member; give True where one begins"
            )
        self._fresh = self._fresh | starts
        if self._no_repeat:
            self._no_repeat = [NoRepeat() if start else one for one, start in zip(self._no_repeat, starts, strict=True)]


class _Step:
    """One step of one environment, in buffers that are bound to the network once: for small ones a fifth of the time.

    Attributes:
        memory: (1, memory_size) the memory, before a step and after it.
    """

    def __init__(self, session: Any, observations: Observations, memory_size: int, num_actions: int) -> None:
        self.memory = np.zeros((1, memory_size), np.float32)
        self._session = session
        self._observation = np.zeros((1, *observations.shape), observations.dtype)
        self._start, self._after = np.zeros(1, bool), np.zeros_like(self.memory)
        self._probabilities = np.zeros((1, num_actions), np.float64)
        self._binding = session.io_binding()
        inputs: dict[str, NDArray[Any]] = {"observation": self._observation}
        outputs: dict[str, NDArray[Any]] = {"probabilities": self._probabilities}
        if memory_size:
            inputs |= {"memory": self.memory, "start": self._start}
            outputs |= {"memory_after": self._after}
        for name, buffer in inputs.items():
            self._binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in outputs.items():
            self._binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)

    def run(self, observation: NDArray[Any], start: bool) -> NDArray[np.float64]:
        """Probabilities (A,) of the actions for an observation (1, ...), valid until the next step."""
        self._observation[:] = observation
        self._start[0] = start
        self._session.run_with_iobinding(self._binding)
        if self.memory.size:
            self.memory[:] = self._after
        row: NDArray[np.float64] = self._probabilities[0]
        return row


class ValuesPolicy(_Policy):
    """A student that values the actions of situations in words.

    A situation has a `text` and its `choices`, as attributes or as the keys of a mapping.

    ```python
    action = policy.act({"text": "You stand on tile 4.", "choices": ["left", "down", "right", "up"]})
    ```
    """

    def __init__(self, folder: Folder, acting: str, threads: int = 1) -> None:
        super().__init__(folder, acting)
        self.values = Values(folder, threads)

    def reset(self, seed: int | None = None) -> None:
        """Begins an episode; a seed seeds the draws of `sampled`. There is no memory."""
        if seed is not None:
            self._random = np.random.default_rng(seed)

    def act(self, situation: Any) -> Any:
        """Returns the place of an action among a situation's choices; of a list of situations an array of places.

        Raises:
            PolicyError: It is no situation.
        """
        many = isinstance(situation, list | tuple)
        rows = self.probabilities(situation if many else [situation], self.acting == "greedy")
        draws = self._random.random(len(rows)) if self.acting == "sampled" else np.full(len(rows), 0.5)
        actions = sample(rows, draws)
        return actions if many else int(actions[0])

    def probabilities(self, situations: Any, greedy: bool) -> NDArray[np.float64]:
        """Probabilities (B, A) of the actions of B situations, 0 beyond those of one with fewer.

        Raises:
            PolicyError: One is no situation.
        """
        return self.values.choose(situations, greedy)


class ReadingPolicy(_Policy):
    """A student that reads: it plans sub-goals, if it learnt to, and chooses among the admissible actions.

    ```python
    policy.reset()
    place = policy.act({"goal": "Fetch the lamp.", "text": "A hall. A lamp is here.", "choices": ["take lamp", "wait"]})
    ```

    What it is shown may also say `observation` (what the task answered to the last action), `carried`, `score`, `asked`
    and `idle`; see `wean_runtime.Sight`.

    Attributes:
        episode_bytes: Memory that its cache of one episode takes at most.
    """

    def __init__(self, folder: Folder, acting: str, threads: int = 1) -> None:
        super().__init__(folder, acting)
        network = open_network(folder, threads)
        self._reader = open_reader(folder, network, acting == "no_repeat")
        self.episode_bytes = network.most_bytes

    @property
    def goal(self) -> str:
        """The sub-goal that it pursues; empty where there is none."""
        return self._reader.goal

    def reset(self, seed: int | None = None) -> None:
        """Begins an episode; nothing is drawn, so the seed does not matter."""
        self._reader.reset()

    def act(self, situation: Any) -> int:
        """Returns the place of an action among the situation's choices; it is taken to be the next action.

        Raises:
            PolicyError: It is no situation.
        """
        sight = self.see(situation)
        return sight.choices.index(self._reader.act(sight))

    def see(self, situation: Any) -> Sight:
        """What comes from outside, as the student is shown it.

        Raises:
            PolicyError: It is no situation, or too long.
        """
        sight = sight_of(situation)
        self._reader.check(sight)
        return sight

    def another(self) -> Reader:
        """A student of the same network for an episode beside this one."""
        return self._reader.another()

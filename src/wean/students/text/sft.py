"""Lessons as rows of text for other trainers: the same prompts, character by character."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from wean.data.annotations import Annotation
from wean.data.trajectories import Key, Trajectory
from wean.students.text.examples import tell
from wean.students.text.prompt import ACT, DONE, PROMPT_VERSION, EpisodeText

Form = Literal["completion", "chat"]
_ENDLESS = 1 << 30


def lesson_rows(
    trajectories: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
    form: Form = "completion",
    actions: int = 100,
) -> Iterator[dict[str, Any]]:
    """One row for each sub-goal, "done" and action, as a student fed step by step reads it.

    Args:
        trajectories: Demonstrations.
        annotations: Their sub-goals; a demonstration without any gives the flat baseline's rows.
        form: `completion`: `prompt` and `completion`; `chat`: `messages` of a user and an assistant.
        actions: Most actions of a demonstration.

    Yields:
        Rows with `task`, `variation`, `kind` (`goal`, `done` or `action`) and `prompt_version` beside that.
    """
    for trajectory in trajectories:
        episode = EpisodeText(lambda text: list(map(ord, text)), _ENDLESS, "step")
        for window in tell(trajectory, annotations.get(trajectory.key), episode, actions).windows:
            first = window.targets.index(1)
            prompt, answer = ("".join(map(chr, part)) for part in (window.ids[:first], window.ids[first:]))
            kind = "action" if answer.startswith(ACT) else "done" if answer == DONE else "goal"
            told: dict[str, Any] = {"prompt": prompt, "completion": answer}
            if form == "chat":
                told = {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}
            yield {
                "task": trajectory.task,
                "variation": trajectory.variation,
                "kind": kind,
                "prompt_version": PROMPT_VERSION,
                **told,
            }

"""What the annotator asks: a demonstration with numbered actions, after a worked example of the same task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from wean.data.annotations import Annotation
from wean.data.subgoals import Chunk
from wean.data.trajectories import Trajectory
from wean.llm.answers import Message

_SYSTEM = """\
You split demonstrations into sub-goals. A demonstration is a task and the numbered actions that solved it. A sub-goal \
says what a few consecutive actions achieve together: a verb and its arguments, written verb(argument, argument).

Rules:
- Begin a new sub-goal where the purpose changes: going somewhere, finding a thing, picking it up, bringing it \
somewhere, using it, measuring, waiting.
- Passing through several places on the way to one is one sub-goal. Doing the same again and again for one purpose \
(waiting, watching, measuring) is one sub-goal.
- Every action belongs to exactly one sub-goal, in the given order: none is left out and none is added.
- The verb is one word, or words joined by underscores, in lower case: navigate_to, find, pick_up, move, open, use, \
wait_for and the like.
- Arguments are the things and places that matter, in lower case, named as the task and the actions name them, \
without articles and without where a thing lies.
- Where an example is given, cut and name in its way: the same purpose gets the same verb.

Answer with one line for each sub-goal and nothing else: the numbers of its first and last action, a colon, the \
sub-goal. For example:
1-3: navigate_to(kitchen)
4-4: pick_up(thermometer)"""

_REST = """\
These actions have no sub-goal yet: {ranges}. Say which sub-goals they form, in the same way, with the same numbers, \
and leave out all other actions."""


def annotation_question(trajectory: Trajectory, example: tuple[Trajectory, Annotation] | None = None) -> list[Message]:
    """The question about one demonstration.

    Args:
        trajectory: What is to be split.
        example: An annotated demonstration, shown as if the model had answered it before.

    Returns:
        A chat that ends with the user's question.
    """
    messages: list[Message] = [{"role": "system", "content": _SYSTEM}]
    if example is not None:
        shown, annotation = example
        messages.append({"role": "user", "content": _describe(shown)})
        messages.append({"role": "assistant", "content": answer_text(annotation.chunks)})
    messages.append({"role": "user", "content": _describe(trajectory)})
    return messages


def rest_question(messages: Sequence[Message], answer: str, left: Sequence[tuple[int, int]]) -> list[Message]:
    """The second question, about the actions to which an answer gave no sub-goal.

    Args:
        messages: The first question.
        answer: Its answer.
        left: (first, last) of each run of actions without a sub-goal, counted from 1.

    Returns:
        A chat that ends with the second question.
    """
    ranges = ", ".join(f"{first}-{last}" for first, last in left)
    again: Message = {"role": "user", "content": _REST.format(ranges=ranges)}
    return [*messages, {"role": "assistant", "content": answer}, again]


def answer_text(chunks: Sequence[Chunk]) -> str:
    """Sub-goals in the form in which the annotator wants its answer."""
    lines, first = [], 1
    for subgoal, actions in chunks:
        lines.append(f"{first}-{first + actions - 1}: {subgoal}")
        first += actions
    return "\n".join(lines)


def _describe(trajectory: Trajectory) -> str:
    """The task and its actions; an action that is repeated at once takes one line."""
    lines, first = [], 1
    for action, same in groupby(trajectory.actions):
        last = first + len(list(same)) - 1
        lines.append(f"{first}. {action}" if first == last else f"{first}-{last}. {action}")
        first = last + 1
    return f"Task: {trajectory.description}\n\nThe {len(trajectory.actions)} actions:\n" + "\n".join(lines)

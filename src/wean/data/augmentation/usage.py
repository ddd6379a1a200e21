"""What demonstrations say of the words that they use: where sub-goals lead, and what is named without being read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from wean.data.annotations import Annotation
from wean.data.normalize import place_of
from wean.data.trajectories import Key, Trajectory
from wean.runtime.normalize import normalize, render_subgoal


def destinations(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> dict[str, str]:
    """The rendered sub-goals that always lead from elsewhere to the place that they name, and this place."""
    trips: dict[str, str] = {}
    exceptions = set[str]()
    for trajectory in trajectories:
        annotation = annotations.get(trajectory.key)
        if annotation is None:
            continue
        places = [place_of(step.look) for step in trajectory.path]
        starts = [0, *annotation.ends[:-1]]  # where the last sub-goal led is not known: nothing was seen after it
        for chunk, (start, end) in zip(annotation.chunks, pairwise(starts), strict=False):
            text, place = render_subgoal(str(chunk.subgoal)), places[end]
            trips[text] = place
            if places[start] == place or not text.endswith(f" {place}"):
                exceptions.add(text)
    return {text: place for text, place in sorted(trips.items()) if text not in exceptions}


def unprompted_words(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> set[str]:
    """The words that more than one demonstration uses in its sub-goals and actions before having read them."""
    used = Counter[str]()
    for trajectory in trajectories:
        annotation = annotations.get(trajectory.key)
        known = set(normalize(trajectory.description).split())
        unread = set[str]()
        current = -1
        for number, step in enumerate(trajectory.path):
            known |= {word for text in (step.look, step.inventory) for word in normalize(text).split()}
            said = [normalize(step.action)]
            if annotation is not None and annotation.chunk_of[number] != current:
                current = annotation.chunk_of[number]
                said.append(render_subgoal(str(annotation.chunks[current].subgoal)))
            words = {word for text in said for word in text.split()}
            unread |= words - known
            known |= words | set(normalize(step.observation).split())
        used.update(unread)
    return {word for word, times in used.items() if times > 1}

"""Demonstrations with other names: exchanged everywhere alike, and only what the descriptions tell apart."""

import numpy as np

from wean.data.annotations import parse_annotation
from wean.data.renaming import given_names, renamed
from wean.data.trajectories import Moment, Trajectory


def slide(variation: int, surface: str) -> Trajectory:
    look = f"workshop:\nan inclined plane with a {surface} surface\nA door to the hall"
    path = (
        Moment(f"look at plane with a {surface} surface", f"{surface.title()} is rough.", look, "an orange", 100.0),
    )
    return Trajectory("slide", variation, f"In the hall, slide a block down the {surface} surface.", path)


def test_names_are_what_descriptions_do_not_share_but_for_places_and_small_words() -> None:
    other = Trajectory("walk", 0, "Walk to the hall with a lamp.", slide(0, "tin").path)
    another = Trajectory("walk", 1, "Walk to the hall.", slide(0, "tin").path)
    names = given_names([slide(0, "zinc"), slide(1, "steel"), slide(2, "wood"), other, another])
    assert names == {"slide": ("steel", "wood", "zinc"), "walk": ("lamp",)}


def test_a_demonstration_gets_other_names_everywhere_alike() -> None:
    one = slide(0, "zinc")
    rows = [["focus_on(zinc surface)", 1]]
    annotation = parse_annotation({"task": "slide", "variation": 0, "subgoals": rows, "digest": one.digest})
    names = {"slide": ("steel", "wood", "zinc")}
    drawn = set()
    for seed in range(20):
        again, told = renamed(one, annotation, names, np.random.default_rng(seed))
        (surface,) = {name for name in names["slide"] if name in again.description}
        drawn.add(surface)
        assert (again.description, again.path) == (slide(0, surface).description, (_capital(surface),))
        assert told is not None
        assert str(told.chunks[0].subgoal) == f"focus_on({surface} surface)"
    assert drawn == set(names["slide"])


def _capital(surface: str) -> Moment:
    """A name's own capital is not told: names are drawn in lower case."""
    (moment,) = slide(0, surface).path
    return moment._replace(observation=f"{surface} is rough.")


def test_a_task_without_names_stays_as_it_is() -> None:
    one = slide(0, "zinc")
    again, told = renamed(one, None, given_names([one]), np.random.default_rng(0))
    assert (again.description, again.path, told) == (one.description, one.path, None)

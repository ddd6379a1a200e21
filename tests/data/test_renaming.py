"""Demonstrations with other names: exchanged everywhere alike, and only what varies from one to the next."""

from collections.abc import Mapping

import numpy as np

from wean.data.annotations import Annotation, parse_annotation
from wean.data.renaming import Names, given_names, renamed
from wean.data.trajectories import Key, Moment, Trajectory


def slide(variation: int, surface: str, task: str = "slide") -> Trajectory:
    look = (
        f"This room is called the shed. In it, you see:\nan inclined plane with a {surface} surface\na bench\n"
        "A door to the hall (that is open)"
    )
    path = (
        Moment(f"slide block down {surface} surface", f"{surface.title()} is rough.", look, "an orange", 100.0),
        Moment("put block on bench", "Done.", look, "an orange", 100.0),
    )
    return Trajectory(task, variation, f"In the hall, slide a block down the {surface} surface.", path)


def annotated(*many: Trajectory) -> Mapping[Key, Annotation]:
    found = {}
    for one in many:
        surface = one.path[0].action.split()[3]
        rows = [[f"slide_down(block, {surface} surface)", 1], ["put(block, bench)", 1]]
        values = {"task": one.task, "variation": one.variation, "subgoals": rows, "digest": one.digest}
        found[one.key] = parse_annotation(values)
    return found


MANY = [slide(0, "zinc"), slide(1, "steel"), slide(2, "wood")]


def test_names_vary_and_are_no_words_of_places_nor_of_what_is_always_there() -> None:
    names = given_names(MANY, annotated(*MANY))
    assert names == Names(("steel", "wood", "zinc"), (), {"slide": ("steel", "wood", "zinc")})


def test_words_that_are_said_untold_are_no_names() -> None:
    assert given_names(MANY, annotated(*MANY), ("steel",)).words == ("wood", "zinc")


def test_where_all_descriptions_are_alike_nothing_is_exchanged() -> None:
    alike = [slide(0, "zinc", "known"), slide(1, "zinc", "known")]
    names = given_names([*MANY, *alike], annotated(*MANY, *alike))
    assert "known" not in names.asked
    again, _ = renamed(alike[0], None, names, np.random.default_rng(0))
    assert again is alike[0]


def test_a_demonstration_gets_other_names_everywhere_alike() -> None:
    one = MANY[0]
    names = given_names(MANY, annotated(*MANY))
    drawn = set()
    for seed in range(40):
        again, told = renamed(one, annotated(one)[one.key], names, np.random.default_rng(seed))
        (surface,) = {name for name in names.words if name in again.description}
        drawn.add(surface)
        if surface != "zinc":  # a name's own capital is not told: names are drawn in lower case
            first, *others = slide(0, surface).path
            told_so = first._replace(observation=f"{surface} is rough.")
            assert (again.description, again.path) == (slide(0, surface).description, (told_so, *others))
        assert told is not None
        assert str(told.chunks[0].subgoal) == f"slide_down(block, {surface} surface)"
    assert drawn == set(names.words)


def house(room: str, other: str) -> Trajectory:
    looks = (f"This room is called the {room}. In it, you see:\na cup\nA door to the hall (that is open)",)
    looks += (f"This room is called the hall. In it, you see:\nA door to the {room}\nA door to the {other}",)
    looks += (f"This room is called the {other}. In it, you see:\nA door to the hall (that is open)",)
    path = tuple(Moment(f"go to {room}", "You move.", look, "", 0.0) for look in looks)
    return Trajectory("walk", 0, f"Bring the cup from the {room}.", path)


def test_places_whose_doors_lead_to_the_same_places_are_exchanged_and_every_way_stays() -> None:
    names = given_names([house("living room", "attic")], {})
    assert names.places == (("attic", "living room"),)
    names = Names(("cup",), names.places, {"walk": ("cup",)})
    found = {renamed(house("living room", "attic"), None, names, np.random.default_rng(seed))[0] for seed in range(20)}
    assert {(one.description, one.path) for one in found} == {
        (one.description, one.path) for one in (house("living room", "attic"), house("attic", "living room"))
    }

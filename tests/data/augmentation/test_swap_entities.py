"""Demonstrations with other names: exchanged everywhere alike, and only what varies from one to the next."""

from collections.abc import Mapping

import numpy as np

from wean.data.annotations import Annotation, parse_annotation
from wean.data.augmentation.entities import Entities, find_entities, swap_entities
from wean.data.trajectories import Key, PathStep, Trajectory


def slide(variation: int, surface: str, task: str = "slide") -> Trajectory:
    look = (
        f"This room is called the shed. In it, you see:\nan inclined plane with a {surface} surface\na bench\n"
        "A door to the hall (that is open)"
    )
    path = (
        PathStep(f"slide block down {surface} surface", f"{surface.title()} is rough.", look, "an orange", 100.0),
        PathStep("put block on bench", "Done.", look, "an orange", 100.0),
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
    names = find_entities(MANY, annotated(*MANY))
    words = ("steel", "wood", "zinc")
    assert names == Entities((words,), (), {"slide": words})


def test_words_that_are_said_untold_are_no_names() -> None:
    assert find_entities(MANY, annotated(*MANY), ("steel",)).kinds == (("wood", "zinc"),)


def test_where_all_descriptions_are_alike_nothing_is_exchanged() -> None:
    alike = [slide(0, "zinc", "known"), slide(1, "zinc", "known")]
    names = find_entities([*MANY, *alike], annotated(*MANY, *alike))
    assert "known" not in names.asked
    again, _ = swap_entities(alike[0], None, names, np.random.default_rng(0))
    assert again is alike[0]


def test_a_demonstration_gets_other_names_everywhere_alike() -> None:
    one = MANY[0]
    names = find_entities(MANY, annotated(*MANY))
    drawn = set()
    for seed in range(40):
        again, told = swap_entities(one, annotated(one)[one.key], names, np.random.default_rng(seed))
        surface = again.description.removeprefix("In the hall, slide a block down the ").removesuffix(" surface.")
        drawn.add(surface)
        if surface != "zinc":  # a name's own capital is not told: names are drawn in lower case
            first, *others = slide(0, surface).path
            told_so = first._replace(observation=f"{surface} is rough.")
            assert (again.description, again.path) == (slide(0, surface).description, (told_so, *others))
        assert told is not None
        assert str(told.chunks[0].subgoal) == f"slide_down(block, {surface} surface)"
    known = {name for name in drawn if set(name.split()) <= set(names.kinds[0])}
    assert {name for name in known if " " not in name} == set(names.kinds[0])
    assert any(" " in name for name in known)  # where a name ends is to be looked up, too
    made_up = {word for name in drawn - known for word in name.split()}
    assert made_up
    ends = {name[at:] for name in names.kinds[0] for at in range(len(name))}
    assert all(any(word[:at] + end == word for at in range(1, 6) for end in ends) for word in made_up)


def worded(task: str, variation: int, description: str, *subgoals: str) -> tuple[Trajectory, Annotation]:
    path = tuple(PathStep(subgoal, "Done.", "a shed", "", 100.0) for subgoal in subgoals)
    rows = [[subgoal, 1] for subgoal in subgoals]
    one = Trajectory(task, variation, description, path)
    return one, parse_annotation({"task": task, "variation": variation, "subgoals": rows, "digest": one.digest})


def names_of(*many: tuple[Trajectory, Annotation]) -> Entities:
    return find_entities([one for one, _ in many], {one.key: annotation for one, annotation in many})


def test_a_name_takes_the_place_of_those_alone_that_descriptions_use_alike() -> None:
    boxes = [worded("box", i, f"Open the {name} box.", f"open({name} box)") for i, name in enumerate(("red", "blue"))]
    boils = [worded("boil", i, f"First boil {name}.", f"boil({name})") for i, name in enumerate(("tin", "zinc"))]
    assert names_of(*boxes, *boils).kinds == (("blue", "red"), ("tin", "zinc"))
    melts = [worded("melt", i, f"Melt {name}!", f"melt({name})") for i, name in enumerate(("zinc", "ice cream"))]
    melts.append(worded("melt", 2, "Melt wax!", "melt(wax)"))
    assert names_of(*boxes, *boils, *melts).kinds == (("blue", "red"), ("ice cream", "tin", "wax", "zinc"))


def test_a_name_of_several_words_is_exchanged_as_a_whole() -> None:
    names = Entities((("ice", "ice cream"),), (), {"boil": ("ice", "ice cream")})
    one, annotation = worded("boil", 0, "Boil ice cream, it can't be ice.", "boil(ice cream)")
    drawn = [swap_entities(one, annotation, names, np.random.default_rng(seed)) for seed in range(60)]
    assert {one.description, "Boil ice, it can't be ice cream."} <= {again.description for again, _ in drawn}
    for again, told in drawn:  # made up or not, the sub-goal is told as the task is
        assert told is not None
        boiled = again.description.removeprefix("Boil ").partition(",")[0]
        assert told.chunks[0].subgoal.arguments == (boiled,)
        assert boiled != "ice" or again.description.endswith("it can't be ice cream.")


def test_nothing_is_exchanged_where_what_is_asked_for_decides_which_other_names_are_used() -> None:
    recipes = (("green", "blue"), ("orange", "red"), ("green", "blue"), ("orange", "red"))
    paints = [
        worded("paint", i, f"Make {made} paint.", f"pour({used} paint)", f"focus_on({made} paint)")
        for i, (made, used) in enumerate(recipes)
    ]
    assert not names_of(*paints).asked
    boxes = [
        worded("box", i, f"Paint it {made}.", f"put({made} one, {used} box)") for i, (made, used) in enumerate(recipes)
    ]
    boxes.append(worded("box", 4, "Paint it orange.", "put(orange one, blue box)"))  # red or blue: as it comes
    assert names_of(*boxes).asked == {"box": ("green", "orange")}
    mixed = [("yellow-green", "blue"), ("green-blue", "yellow")] * 2  # each asked for itself, and by the other not
    paints = [worded("mix", i, f"Make {made}.", f"pour({used} paint)") for i, (made, used) in enumerate(mixed)]
    assert not names_of(*paints).asked


def house(room: str, other: str) -> Trajectory:
    looks = (f"This room is called the {room}. In it, you see:\na cup\nA door to the hall (that is open)",)
    looks += (f"This room is called the hall. In it, you see:\nA door to the {room}\nA door to the {other}",)
    looks += (f"This room is called the {other}. In it, you see:\nA door to the hall (that is open)",)
    path = tuple(PathStep(f"go to {room}", "You move.", look, "", 0.0) for look in looks)
    return Trajectory("walk", 0, f"Bring the cup from the {room}.", path)


def test_places_whose_doors_lead_to_the_same_places_are_exchanged_and_every_way_stays() -> None:
    names = find_entities([house("living room", "attic")], {})
    assert names.places == (("attic", "living room"),)
    names = Entities((("cup",),), names.places, {"walk": ("cup",)})
    found = {
        swap_entities(house("living room", "attic"), None, names, np.random.default_rng(seed))[0] for seed in range(20)
    }
    assert {(one.description, one.path) for one in found} == {
        (one.description, one.path) for one in (house("living room", "attic"), house("attic", "living room"))
    }

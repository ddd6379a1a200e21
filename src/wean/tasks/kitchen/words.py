"""A kitchen in words: the task, what the cook sees, and what each macro-action would mean here."""

from __future__ import annotations

from collections.abc import Sequence

from wean.tasks.kitchen.layout import Recipe
from wean.tasks.kitchen.macros import Macro
from wean.tasks.kitchen.view import Portion, Sighting


def goal_of(recipe: Recipe, sight: int | None) -> str:
    """The task and its rules; the same in every situation of a kitchen."""
    dish = _listed([f"chopped {food}" for food in recipe.ingredients])
    things = _listed([f"{_article(food)} {food}" for food in recipe.foods] + ["a bowl"])
    boards = "one cutting board" if recipe.boards == 1 else "two cutting boards, the first and the second,"
    sees = (
        "The cook knows where everything is in the whole kitchen."
        if sight is None
        else "The cook finds the way to everything, but you are told only of what is near the cook."
    )
    return (
        f"You direct a cook. The cook shall serve a bowl that contains {dish}, and nothing else.\n\n"
        f"In the kitchen there are {things}, {boards} and a hatch where dishes are served. The cook can hold one "
        "thing at a time. A food is chopped while it lies on a cutting board and the cook stands at it, with nothing "
        "in hand. Only chopped food can go into the bowl, and none comes out of it again. A cutting board takes one "
        "food, or the bowl. Whatever is served and is not the dish is a mistake: it comes back to where it was at the "
        "beginning, unchopped.\n\n"
        f"{sees} Each choice includes walking there. Choose what to do next."
    )


def write(recipe: Recipe, seen: Sighting) -> str:
    """Says what the cook sees, holds and stands at."""
    names = (*recipe.foods, "bowl")
    sentences = []
    if seen.counter:
        lying = _listed([f"{_article(names[thing])} {names[thing]}" for thing in seen.counter])
        sentences.append(f"On the counter there {'is' if len(seen.counter) == 1 else 'are'} {lying}.")
    for number, portion in enumerate(seen.boards):
        if portion is not None:
            sentences.append(f"On {_board(recipe, number)} there is {_described(names, portion)}.")
    held = "nothing" if seen.held is None else _described(names, seen.held)
    stands = _listed([_board(recipe, number) for number in seen.before])
    sentences.append(f"The cook {f'stands at {stands} and ' if stands else ''}holds {held}.")
    return " ".join(sentences)


def choose(recipe: Recipe, macros: Sequence[Macro], seen: Sighting) -> tuple[str, ...]:
    """Names every macro-action by what it would do here, in the order of their numbers; no two alike."""
    return tuple(_choice(recipe, macro, seen) for macro in macros)


def _choice(recipe: Recipe, macro: Macro, seen: Sighting) -> str:
    names = (*recipe.foods, "bowl")
    held = seen.held
    bowl = len(recipe.foods)
    carried = None if held is None else names[held.thing]
    if macro.kind == "get":
        wanted = names[macro.target]
        if held is not None and held.thing == bowl and macro.target not in (bowl, *held.filling):
            return f"put the {wanted} into the bowl"
        if held is not None and held.chopped and macro.target == bowl:
            return f"put the {carried} into the bowl and pick the bowl up"
        return f"pick up the {wanted}"
    if macro.kind == "board":
        board, lying = _board(recipe, macro.target), seen.boards[macro.target]
        if held is None:
            return f"go to {board}"
        if lying is None:
            return f"put the {carried} on {board}"
        if held.thing == bowl and lying.chopped:
            return f"put the {names[lying.thing]} on {board} into the bowl"
        if held.chopped and lying.thing == bowl:
            return f"put the {carried} into the bowl on {board}"
        return f"take the {carried} to {board}"
    if macro.kind == "deliver":
        return "go to the hatch" if carried is None else f"serve the {carried}"
    for number in seen.before if held is None else ():
        lying = seen.boards[number]
        if lying is not None and lying.thing != bowl and not lying.chopped:
            return f"chop the {names[lying.thing]}"
    return "chop nothing"


def _board(recipe: Recipe, number: int) -> str:
    return "the cutting board" if recipe.boards == 1 else f"the {('first', 'second')[number]} cutting board"


def _described(names: Sequence[str], portion: Portion) -> str:
    name = names[portion.thing]
    if portion.thing == len(names) - 1:
        filling = [f"chopped {names[food]}" for food in portion.filling]
        return f"a bowl with {_listed(filling)}" if filling else "an empty bowl"
    return f"{'a chopped' if portion.chopped else 'an unchopped'} {name}"


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def _listed(names: Sequence[str]) -> str:
    """Writes "a tomato, a lettuce and an onion"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)

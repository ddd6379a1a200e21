"""Views of a kitchen: numbers for a student, words for a language model, a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.tasks.kitchen_world import HAND, IN_BOWL, SIZE, Cell, Macro, Recipe, World, access, distance

TILE = 32  # pixels of a picture's cell

_FLOOR, _COUNTER, _BOARD, _HATCH = (235, 232, 225), (150, 111, 80), (222, 190, 140), (90, 160, 110)
_COOK, _BOWL = (50, 90, 160), (250, 250, 250)
_FOOD = {"tomato": (210, 50, 40), "lettuce": (110, 190, 60), "onion": (170, 120, 190)}


# --- numbers ---------------------------------------------------------------------------------------------------------


def observe(world: World, sight: int | None) -> NDArray[np.float32]:
    """The observation as numbers from 0 to 1; whatever is out of sight is all zeros.

    Coordinates are row / 6 and column / 6. The vector has for each food: 1 where it is on the counter, on each board,
    in the hand, in the bowl, 1 if chopped, its two coordinates; for the bowl the same without "in the bowl" and
    "chopped"; two coordinates for each board, for the delivery and for the cook: 18 numbers for tomato, 38 for the
    other recipes.
    """
    layout, cook = world.layout, world.cook
    numbers: list[float] = []
    bowl_cell = world.place[world.bowl]
    for thing, place in enumerate(world.place):
        cell = bowl_cell if place == IN_BOWL else place
        cell = cook if cell == HAND else cell
        food = thing != world.bowl
        if not _in_sight(cook, cell, sight):
            numbers += [0.0] * ((6 if food else 4) + len(layout.boards))
            continue
        numbers.append(float(world.is_at_start(thing)))
        numbers += [float(place == board) for board in layout.boards]
        numbers.append(float(place == HAND))
        if food:
            numbers += [float(place == IN_BOWL), float(world.is_chopped(thing))]
        numbers += _coordinates(cell)
    for cell in (*layout.boards, layout.delivery):
        numbers += _coordinates(cell) if _in_sight(cook, cell, sight) else (0.0, 0.0)
    numbers += _coordinates(cook)
    return np.array(numbers, np.float32)


def _coordinates(cell: Cell) -> tuple[float, float]:
    return cell[0] / (SIZE - 1), cell[1] / (SIZE - 1)


# --- words -----------------------------------------------------------------------------------------------------------


class Portion(NamedTuple):
    """A thing on a board or in the hand: its number, whether it is chopped, and the foods in the bowl."""

    thing: int
    chopped: bool
    filling: tuple[int, ...]


class Sighting(NamedTuple):
    """What the cook sees; hashable.

    Attributes:
        counter: Things in sight that lie where they began.
        boards: What is seen on each cutting board.
        held: What the cook holds.
        before: The boards that the cook stands at.
    """

    counter: tuple[int, ...]
    boards: tuple[Portion | None, ...]
    held: Portion | None
    before: tuple[int, ...]


def look(world: World, sight: int | None) -> Sighting:
    """Reads what the cook sees within `sight` cells; None means the whole kitchen."""
    layout, cook = world.layout, world.cook
    place = world.place
    return Sighting(
        tuple(thing for thing, cell in enumerate(place) if world.is_at_start(thing) and _in_sight(cook, cell, sight)),
        tuple(_portion(world, world.at(board)) if _in_sight(cook, board, sight) else None for board in layout.boards),
        _portion(world, world.at(HAND)),
        tuple(number for number, board in enumerate(layout.boards) if access(board) == cook),
    )


def _portion(world: World, thing: int | None) -> Portion | None:
    if thing is None:
        return None
    return Portion(thing, world.is_chopped(thing), world.in_bowl() if thing == world.bowl else ())


def _in_sight(cook: Cell, cell: Cell, sight: int | None) -> bool:
    return sight is None or distance(cook, cell) <= sight


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
    """The sighting in sentences."""
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
    """Names every macro-action by its effect here, in the order of the numbers; no two alike."""
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


# --- pictures --------------------------------------------------------------------------------------------------------


def draw(world: World) -> NDArray[np.uint8]:
    """Draws the whole kitchen, (224, 224, 3).

    A board is a light counter, the hatch green, the cook a blue disc. An unchopped food is one disc, a chopped one four
    small ones, the bowl a white ring around its contents.
    """
    picture = np.empty((SIZE * TILE, SIZE * TILE, 3), np.uint8)
    picture[:] = _COUNTER
    picture[TILE:-TILE, TILE:-TILE] = _FLOOR
    for cell in world.layout.boards:
        _tile(picture, cell)[2:-2, 2:-2] = _BOARD
    _tile(picture, world.layout.delivery)[2:-2, 2:-2] = _HATCH
    _disc(picture, world.cook, 0.5, 0.5, 0.45, _COOK)

    bowl = world.place[world.bowl]
    bowl = world.cook if bowl == HAND else bowl
    _disc(picture, bowl, 0.5, 0.5, 0.36, _BOWL)
    for thing, food in enumerate(world.recipe.foods):
        place, colour = world.place[thing], _FOOD[food]
        cell = {HAND: world.cook, IN_BOWL: bowl}.get(place, place)
        if place == IN_BOWL:  # each its own third of the bowl
            _disc(picture, cell, 0.32 + 0.18 * thing, 0.5, 0.1, colour)
        elif world.is_chopped(thing):
            for x in (0.4, 0.6):
                for y in (0.4, 0.6):
                    _disc(picture, cell, x, y, 0.09, colour)
        else:
            _disc(picture, cell, 0.5, 0.5, 0.25, colour)
    return picture


def _tile(picture: NDArray[np.uint8], cell: Cell) -> NDArray[np.uint8]:
    row, column = cell
    return picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]


def _disc(
    picture: NDArray[np.uint8], cell: Cell, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    """Paints a disc in a cell; place and radius as parts of the cell's side."""
    rows, columns = np.mgrid[0:TILE, 0:TILE] / (TILE - 1)
    _tile(picture, cell)[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = colour

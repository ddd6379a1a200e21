"""Stock MiniGrid and BabyAI environments as tasks: what is remembered, told and reached by skills."""

from contextlib import redirect_stdout
from typing import Any

import gymnasium as gym
import minigrid
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from minigrid.core.world_object import Key
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.grid.env import StockGrid, make_stock
from wean.tasks.grid.geometry import geometry
from wean.tasks.grid.memory import NO_AGENT
from wean.tasks.grid.skills import DONE, FORWARD
from wean.tasks.registration import make_task, task_id
from wean.tasks.vector import SerialTasks

SHORT = ("KeyCorridorS3R3", "MultiRoomN2S4", "ObstructedMaze1Dlh")
MANY = (
    "MiniGrid-KeyCorridorS3R3-v0",
    "MiniGrid-MultiRoom-N2-S4-v0",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "MiniGrid-ObstructedMaze-Full-v1",
    "MiniGrid-Dynamic-Obstacles-8x8-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-LockedRoom-v0",
    "MiniGrid-MemoryS11-v0",
    "MiniGrid-PutNear-8x8-N3-v0",
    "BabyAI-GoToLocalS8N7-v0",
    "BabyAI-KeyInBox-v0",
    "BabyAI-PutNextS5N2Carrying-v0",
)


class Accumulated:
    """What stepping a stock environment shows, put together from nothing but its own observations."""

    def __init__(self, id: str) -> None:
        self.env: Any = gym.make(id, disable_env_checker=True).unwrapped

    def reset(self, seed: int) -> NDArray[np.uint8]:
        with redirect_stdout(None):
            observation, _ = self.env.reset(seed=seed)
        self.memory = np.zeros((self.env.width, self.env.height, 3), np.uint8)
        return self.add(observation)

    def step(self, action: int) -> tuple[NDArray[np.uint8], Any, Any, Any]:
        observation, *outcome, _ = self.env.step(action)
        return self.add(observation), *outcome

    def add(self, observation: dict[str, Any]) -> NDArray[np.uint8]:
        size, height = self.env.agent_view_size, self.env.height
        x, y = (int(c) for c in self.env.agent_pos)
        cells = geometry(self.env.width, height, size).view[(x * height + y) << 2 | observation["direction"]]
        for index, cell in enumerate(cells):
            column, row = index % size, index // size
            own = (column, row) == (size // 2, size - 1)
            if cell >= 0 and not own and observation["image"][column, row, 0]:
                self.memory[cell // height, cell % height] = observation["image"][column, row]
        if not self.memory[x, y, 0]:
            self.memory[x, y] = (1, 0, 0)  # the free floor on which an agent starts
        shown = np.full((*self.memory.shape[:2], 4), NO_AGENT, np.uint8)
        shown[..., :3] = self.memory
        shown[x, y] = *observation["image"][size // 2, size - 1], observation["direction"]
        return shown


@pytest.mark.parametrize("id", MANY)
def test_the_map_is_what_the_environments_own_observations_add_up_to(id: str) -> None:
    task, stock, random = make_task(id), Accumulated(id), np.random.default_rng(3)
    for seed in (1, 10_001):
        observation, _ = task.reset(seed=seed)
        np.testing.assert_array_equal(observation["image"], stock.reset(seed))
        for action in random.choice([0, 1, 2, 2, 2, 3, 4, 5], 120).tolist():
            observation, reward, terminated, truncated, _ = task.step(action)
            shown, *outcome = stock.step(action)
            np.testing.assert_array_equal(observation["image"], shown)
            assert [reward, terminated, truncated] == outcome
            if terminated or truncated:
                break


def test_what_was_never_in_sight_changes_nothing() -> None:
    turns = [0, 0, 0, 0]

    def look_around(task: StockGrid) -> list[Any]:
        seen = [task.step(action)[0]["image"] for action in turns]
        return [*seen, task.situation().text, task.known_map(), task.first_action(["explore"])]

    task = make_task("KeyCorridorS3R3")
    task.reset(seed=4)
    first = look_around(task)
    hidden = np.argwhere(first[3][..., 0] == 0).tolist()
    assert len(hidden) > 10
    task.reset(seed=4)
    for x, y in hidden:  # another world wherever nobody has looked
        task.unwrapped.grid.set(x, y, Key("red"))
    for before, after in zip(first, look_around(task), strict=True):
        np.testing.assert_equal(after, before)


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_gymnasiums_checker_accepts_them(name: str) -> None:
    check_env(make_task(name), skip_render_check=True)


def test_any_registered_id_is_a_task_with_words() -> None:
    task = make_task("BabyAI-GoToRedBallGrey-v0")
    task.reset(seed=0)
    assert task.situation().text.startswith("Task: go to the red ball. The robot has seen: ")
    assert task_id("KeyCorridorS3R3") == "wean/KeyCorridorS3R3-v0"


def test_other_environments_and_changed_observations_are_refused() -> None:
    with pytest.raises(UsageError, match="no MiniGrid environment; wrap it in"):
        StockGrid(gym.make("CartPole-v1"))
    changed = minigrid.wrappers.ImgObsWrapper(gym.make("MiniGrid-Empty-5x5-v0"))
    with pytest.raises(UsageError, match="wrap it before they are changed"):
        StockGrid(changed)


# --- words -----------------------------------------------------------------------------------------------------------


def follow(task: StockGrid, *plans: list[str], limit: int = 200) -> list[str]:
    """Follows each plan until it can do nothing more; returns the situations on the way, without repetitions."""
    texts = [task.situation().text]
    for plan in plans:
        for _ in range(limit):
            action = task.first_action(plan)
            if action is None:
                break
            over = task.step(action)[2]
            if task.situation().text != texts[-1]:
                texts.append(task.situation().text)
            if over:
                return texts
    return texts


def test_a_hidden_key_a_locked_door_and_a_ball() -> None:
    task = make_stock("MiniGrid-ObstructedMaze-1Dlh-v0")
    task.reset(seed=0)
    texts = follow(
        task,
        ["explore"],
        ["go to box", "open box"],
        ["go to green key", "pick up green key"],
        ["go to locked green door", "open locked green door"],
        ["explore"],
        ["drop green key"],
        ["go to red ball", "pick up red ball"],
    )
    told = [text.removeprefix("Task: pick up the red ball. The robot has seen: ") for text in texts]
    assert told[-6:] == [
        "locked green door, box. It holds: nothing.",
        "locked green door, green key. It holds: nothing.",
        "locked green door. It holds: green key.",
        "unlocked green door, red ball. It holds: green key.",
        "unlocked green door, green key, red ball. It holds: nothing.",
        "unlocked green door, green key. It holds: red ball.",
    ]


def test_colours_are_canonical_the_tasks_own_first() -> None:
    texts = set()
    for seed in range(30):
        task = make_stock("MiniGrid-KeyCorridorS3R3-v0")
        task.reset(seed=seed)
        assert task.situation().text.startswith("Task: pick up the red ball.")
        texts.add(task.situation().text)
    assert len(texts) < 10


def test_choices_name_what_was_seen_and_is_held() -> None:
    task = make_stock("MiniGrid-ObstructedMaze-1Dlh-v0")
    task.reset(seed=0)
    follow(task, ["explore"])
    assert task.situation().choices == (
        "explore",
        "go to locked green door",
        "open locked green door",
        "go to box",
        "open box",
        "pick up box",
    )
    follow(task, ["go to box", "open box"], ["go to green key", "pick up green key"])
    assert task.situation().choices[-2:] == ("open locked green door", "drop green key")


# --- skills ----------------------------------------------------------------------------------------------------------


def test_walking_opens_closed_doors_and_steps_onto_the_goal() -> None:
    task = make_stock("MiniGrid-MultiRoom-N2-S4-v0")
    rewards = []
    for seed in range(20):
        task.reset(seed=seed)
        over, reward = False, 0.0
        while not over:
            action = task.first_action(["go to goal", "explore"])
            assert action is not None
            _, reward, terminated, truncated, _ = task.step(action)
            over = terminated or truncated
        rewards.append(reward)
    assert min(rewards) > 0


def test_walking_keeps_out_of_lava() -> None:
    task = make_stock("MiniGrid-LavaCrossingS9N2-v0")
    for seed in range(10):
        task.reset(seed=seed)
        over, reward = False, 0.0
        while not over and (action := task.first_action(["go to goal", "explore"])) is not None:
            _, reward, over, _, _ = task.step(action)
        assert reward > 0


def test_a_thing_is_put_beside_another() -> None:
    task = make_stock("BabyAI-PutNextLocal-v0")
    task.reset(seed=0)  # put the green ball next to the green key
    assert "put the red ball next to the red key" in task.situation().text
    follow(task, ["explore"], ["go to red ball", "pick up red ball"])
    assert "drop red ball next to red key" in task.situation().choices
    reward, over = 0.0, False
    while not over and (action := task.first_action(["drop red ball next to red key"])) is not None:
        _, reward, over, _, _ = task.step(action)
    assert reward > 0


def test_done_comes_after_everything_else() -> None:
    task = make_stock("MiniGrid-GoToDoor-5x5-v0")
    task.reset(seed=1)
    assert task.situation().choices[-1] == "done"
    plan = ["go to closed red door", "done", "explore"]
    actions = []
    for _ in range(30):
        action = task.first_action(plan)
        assert action is not None
        actions.append(action)
        _, reward, over, _, _ = task.step(action)
        if over:
            break
    assert (actions[-1], over, reward > 0) == (DONE, True, True)


# --- what a step achieved --------------------------------------------------------------------------------------------


def test_achievements_of_a_whole_episode() -> None:
    task = make_stock("MiniGrid-ObstructedMaze-1Dlh-v0")
    task.reset(seed=0)
    assert task.achieved() == ()
    found: list[str] = []
    for plan in (
        ["explore"],
        ["go to box", "open box"],
        ["go to green key", "pick up green key"],
        ["go to locked green door", "open locked green door"],
        ["drop green key"],
        ["go to red ball", "pick up red ball"],
    ):
        while (action := task.first_action(plan)) is not None:
            over = task.step(action)[2]
            found += task.achieved()
            if over:
                break
    places = [found.index(name) for name in ("go to box", "open box", "pick up green key", "open locked green door")]
    assert places == sorted(places)
    assert found[-1] == "pick up red ball"
    assert found.count("drop green key") == found.count("pick up green key") == 1
    assert "explore" in found


def _text_at_reset(task: StockGrid, seed: int) -> str:
    task.reset(seed=seed)
    return task.situation().text


def test_nothing_is_achieved_by_closing_a_door_or_bumping_into_it() -> None:
    task = make_stock("MiniGrid-MultiRoom-N2-S4-v0")
    seen_at_once = (seed for seed in range(100) if "closed door" in _text_at_reset(task, seed))
    task.reset(seed=next(seen_at_once))
    follow(task, ["go to closed door"])
    task.achieved()
    found = []
    for action in (FORWARD, 5, 5, 5):  # bumps, opens, closes, opens
        task.step(action)
        found.append([name for name in task.achieved() if name.startswith("open")])
    assert found == [[], ["open closed door"], [], ["open closed door"]]


def test_tasks_side_by_side_say_what_each_achieved() -> None:
    tasks = SerialTasks([lambda: make_stock("MiniGrid-MultiRoom-N2-S4-v0")] * 2)
    tasks.reset([0, 1], [0, 1])
    assert tasks.achieved([0, 1]) == [(), ()]

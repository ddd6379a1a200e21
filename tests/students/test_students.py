"""Students: what they see, and that they come back from disk as they were."""

import json
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from wean.agents.policy import StudentPolicy, load_policy
from wean.algorithms.ppo import PPO, PPOConfig
from wean.errors import UsageError, WeanError
from wean.evaluation.evaluate import play_seeds
from wean.students import saving
from wean.students.config import StudentConfig
from wean.students.grid import GridStudent, border_distances, egocentric_index
from wean.students.saving import load_student, make_student, save_student, weight_bytes
from wean.students.student import DenseStudent, Student
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks


def _room(width: int, height: int, at: tuple[int, int], direction: int, key: tuple[int, int]) -> np.ndarray:
    image = np.zeros((width, height, 4), np.uint8)
    image[..., 0], image[..., 3] = 1, 4
    image[*key, :2] = (5, 2)
    image[*at, 3] = direction
    return image


def test_the_window_is_centred_on_the_agent_and_turned_with_it() -> None:
    # A 4 x 3 map, reach 1; at (1, 1) facing east the window's middle column runs from (2, 1) to (0, 1).
    index = egocentric_index(4, 3, 1)
    east = index[(1 * 3 + 1) * 4 + 0].view(3, 3)
    cell = {(x, y): x * 3 + y for x in range(4) for y in range(3)}
    assert east[:, 1].tolist() == [cell[2, 1], cell[1, 1], cell[0, 1]]
    assert east[0].tolist() == [cell[2, 0], cell[2, 1], cell[2, 2]]  # left of east is north
    north = index[(0 * 3 + 0) * 4 + 3].view(3, 3)  # in the corner, facing north
    assert north.tolist() == [[12, 12, 12], [12, cell[0, 0], cell[1, 0]], [12, cell[0, 1], cell[1, 1]]]


def test_the_same_sight_from_anywhere_gives_the_same_policy() -> None:
    torch.manual_seed(0)
    student = GridStudent(9, 9, 7, StudentConfig(view_radius=2))
    # The key two ahead and one to the left of the agent, in three places and directions.
    views = [((4, 4), 0, (6, 3)), ((3, 5), 1, (4, 7)), ((5, 4), 2, (3, 5)), ((4, 5), 3, (3, 3))]
    images = torch.from_numpy(np.stack([_room(9, 9, at, direction, key) for at, direction, key in views]))
    features = student.features(images)
    assert torch.allclose(features, features[:1].expand_as(features))
    other = torch.from_numpy(_room(9, 9, (4, 4), 0, (6, 5))[None])  # one to the right instead
    assert not torch.allclose(student.features(other), features[:1])


def test_the_edges_are_counted_from_the_agent() -> None:
    # A 4 x 3 map; at (1, 0) two cells lie to the east, two to the south, one to the west, none to the north.
    distances = border_distances(4, 3)
    assert distances.shape == (4 * 3 * 4, 4)
    pose = (1 * 3 + 0) * 4
    assert distances[pose].tolist() == [2, 2, 1, 0]  # ahead, right, behind, left
    assert distances[pose + 1].tolist() == [2, 1, 0, 2]  # facing south
    assert distances[pose + 3].tolist() == [0, 2, 2, 1]  # facing north


def test_a_student_that_is_told_of_the_edges_tells_places_apart(tmp_path: Path) -> None:
    space = gym.spaces.Box(0, 255, (9, 9, 4), np.uint8)
    student = make_student(
        space, gym.spaces.Discrete(7), StudentConfig(hidden=16, view_radius=2, border_distances=True), "map"
    )
    assert isinstance(student, GridStudent)
    assert student.border_distances is not None
    images = np.stack([_room(9, 9, at, 0, (at[0] + 2, at[1])) for at in ((3, 4), (4, 4))])
    first, second = student.features(torch.from_numpy(images))
    assert torch.equal(first, second)  # until it has learnt, it makes no difference
    torch.nn.init.normal_(student.border_distances.weight)
    first, second = student.features(torch.from_numpy(images))
    assert not torch.allclose(first, second)
    save_student(student, tmp_path)
    again = load_student(tmp_path)
    assert isinstance(again, GridStudent)
    assert torch.equal(again.features(torch.from_numpy(images))[1], second)


def test_a_student_with_a_census_knows_what_it_does_not_see_from_here(tmp_path: Path) -> None:
    space = gym.spaces.Box(0, 255, (9, 9, 4), np.uint8)
    torch.manual_seed(0)
    student = make_student(
        space, gym.spaces.Discrete(7), StudentConfig(hidden=16, view_radius=1, object_set=True), "map"
    )
    assert isinstance(student, GridStudent)
    # A key in either of two far corners, out of sight; then a door there; then a wall, which is no thing.
    corners = [_room(9, 9, (4, 4), 0, at) for at in ((7, 7), (1, 7))]
    door, wall = (corners[0].copy() for _ in range(2))
    door[7, 7, 0], wall[7, 7, 0] = 4, 2
    nothing = corners[0].copy()
    nothing[7, 7] = (0, 0, 0, 4)
    found = student.features(torch.from_numpy(np.stack([*corners, door, wall, nothing])))
    assert torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    assert torch.allclose(found[3], found[4])
    save_student(student, tmp_path)
    again = load_student(tmp_path)
    assert isinstance(again, GridStudent)
    assert torch.allclose(again.features(torch.from_numpy(corners[0][None])), found[:1], atol=1e-6)


@pytest.mark.parametrize("goal", ["none", "position", "object"])
def test_in_a_mirror_left_is_right(tmp_path: Path, goal: str) -> None:
    channels = 4 if goal == "none" else 5
    space = gym.spaces.Box(0, 255, (9, 9, channels), np.uint8)
    torch.manual_seed(0)
    config = StudentConfig(hidden=16, view_radius=3, border_distances=True, object_set=True, reflection=True, goal=goal)  # type: ignore[arg-type]
    student = make_student(space, gym.spaces.Discrete(7), config, "map" if goal == "none" else "map+subgoal")
    assert isinstance(student, GridStudent)
    assert student.border_distances is not None
    for one in student.parameters():
        torch.nn.init.normal_(one, std=0.3)
    # Facing east, a mirror exchanges north and south: the rows of the map.
    image = np.concatenate([_room(9, 9, (4, 3), 0, (6, 2)), np.zeros((9, 9, channels - 4), np.uint8)], -1)
    image[5, 5, 0] = 4
    if goal == "position":
        image[6, 2, 4] = 1
    if goal == "object":
        image[:, :, 4].flat[2] = 1
    other = image[:, ::-1].copy()
    if goal == "object":
        other[..., 4] = image[..., 4]
    assert not np.array_equal(image, other)
    both = torch.from_numpy(np.stack([image, other]))[None]
    logits, value, _ = student(both, student.first_state(2), torch.zeros(1, 2))
    assert torch.allclose(logits[0, 0], logits[0, 1][[1, 0, 2, 3, 4, 5, 6]], atol=1e-5)
    assert not torch.allclose(logits[0, 0], logits[0, 1], atol=1e-2)
    assert torch.allclose(value[0, 0], value[0, 1], atol=1e-5)
    save_student(student, tmp_path)
    again = load_student(tmp_path)
    assert isinstance(again, GridStudent)
    assert torch.allclose(again(both, again.first_state(2), torch.zeros(1, 2))[0], logits, atol=1e-5)


def test_a_memory_sees_no_mirror() -> None:
    with pytest.raises(UsageError, match="has no reflection"):
        GridStudent(9, 9, 7, StudentConfig(reflection=True, recurrent=True))


@pytest.mark.parametrize(
    "setting", [{"view_radius": 2}, {"border_distances": True}, {"object_set": True}, {"reflection": True}]
)
def test_a_student_without_a_map_has_no_edges(setting: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="only for tasks that show a grid map"):
        make_student(gym.spaces.Discrete(16), gym.spaces.Discrete(4), StudentConfig(**setting))  # type: ignore[arg-type]


def test_unseen_cells_do_not_learn() -> None:
    student = GridStudent(6, 6, 7)
    student.features(torch.from_numpy(_room(6, 6, (2, 2), 0, (3, 3))[None])).sum().backward()
    gradient = student.object.weight.grad
    assert gradient is not None
    assert gradient[5].abs().sum() > 0  # key
    assert gradient[2].abs().sum() == 0  # no wall was seen


@pytest.mark.parametrize("recurrent", [False, True])
def test_many_steps_at_once_equal_one_after_the_other(recurrent: bool) -> None:
    torch.manual_seed(1)
    student = DenseStudent(3, 4, config=StudentConfig(hidden=8, recurrent=recurrent))
    observations = torch.randn(6, 2, 3)
    starts = torch.zeros(6, 2, dtype=torch.bool)
    starts[0] = True
    starts[3, 1] = True
    together, values, end = student(observations, student.first_state(2), starts)
    state = student.first_state(2)
    for step in range(6):
        logits, value, state = student(observations[step : step + 1], state, starts[step : step + 1])
        assert torch.allclose(logits[0], together[step], atol=1e-6)
        assert torch.allclose(value[0], values[step], atol=1e-6)
    assert torch.allclose(state, end, atol=1e-6)


def test_a_new_episode_forgets() -> None:
    student = DenseStudent(3, 4, config=StudentConfig(hidden=8, recurrent=True))
    observation, memory = torch.randn(1, 1, 3), torch.randn(1, 8)
    yes, no = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)
    fresh = student(observation, student.first_state(1), yes)[0]
    assert torch.equal(student(observation, memory, yes)[0], fresh)
    assert not torch.allclose(student(observation, memory, no)[0], fresh)


SPACES: list[tuple[gym.Space, bool, type[Student]]] = [
    (gym.spaces.Box(0, 255, (10, 10, 4), np.uint8), False, GridStudent),
    (gym.spaces.Box(0, 255, (10, 10, 4), np.uint8), True, GridStudent),
    (gym.spaces.Box(-1, 1, (4,), np.float32), False, DenseStudent),
    (gym.spaces.Discrete(16), True, DenseStudent),
]


@pytest.mark.parametrize(("space", "recurrent", "kind"), SPACES)
def test_comes_back_from_disk_as_it_was(tmp_path: Path, space: gym.Space, recurrent: bool, kind: type[Student]) -> None:
    observation = "map" if kind is GridStudent else "array"
    config = StudentConfig(hidden=16, recurrent=recurrent)
    student = make_student(space, gym.spaces.Discrete(3), config, observation)
    assert type(student) is kind
    save_student(student, tmp_path, card="# card\n")
    again = load_student(tmp_path)
    space.seed(0)
    observations = np.stack([space.sample() for _ in range(5)])
    if kind is GridStudent:  # random bytes are no map: draw codes and one agent a map
        observations = np.stack([_room(10, 10, (3, i), i % 4, (5, 5)) for i in range(5)])
    fresh = np.ones(5, bool)
    one, other = (s.probabilities(observations, s.first_state(5), fresh)[0] for s in (student, again))
    assert (one == other).all()
    assert one.sum(1) == pytest.approx(1.0)
    assert json.loads((tmp_path / "config.json").read_text())["type"] == kind.kind
    assert (tmp_path / "README.md").read_text() == "# card\n"
    assert not list(tmp_path.glob("*.p*")), "no pickles"


def test_the_rooms_student_fits_into_a_megabyte(tmp_path: Path) -> None:
    env = make_task("SimpleDoorKey")
    save_student(make_student(env.observation_space["image"], env.action_space, observation="map"), tmp_path)  # type: ignore[index]
    assert weight_bytes(tmp_path) <= 1_000_000


@pytest.mark.parametrize("damage", ["missing", "torn", "foreign", "mismatch", "newer"])
def test_a_damaged_folder_is_one_line(tmp_path: Path, damage: str) -> None:
    save_student(DenseStudent(4, 2), tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "torn":
        weights.write_bytes(weights.read_bytes()[:200])
    elif damage == "foreign":
        config.write_text('{"model_type": "llama"}')
    elif damage == "newer":
        config.write_text(config.read_text().replace("wean-student/1", "wean-student/9"))
    else:
        tensors = load_file(weights)
        tensors.pop("critic.bias")
        save_file(tensors, weights)
    with pytest.raises(WeanError, match=r"train|copy|use the wean") as caught:
        load_student(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "SHA256SUMS"])
def test_every_flipped_bit_of_a_student_is_noticed(tmp_path: Path, name: str) -> None:
    save_student(DenseStudent(4, 2, config=StudentConfig(hidden=2)), tmp_path)
    whole = (tmp_path / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(WeanError, match="is damaged; train it again or copy it anew"):
            load_student(tmp_path)
    (tmp_path / name).write_bytes(whole)
    load_student(tmp_path)


def test_a_student_tells_what_it_was_trained_for_and_acts_as_it_was_saved(tmp_path: Path) -> None:
    about = {"task": "Cart", "actions": ["left", "right"], "acting": "greedy"}
    save_student(DenseStudent(4, 2), tmp_path, about=about)
    assert json.loads((tmp_path / "config.json").read_text())["run"] == about
    assert load_policy(tmp_path).name == "student (greedy)"
    assert load_policy(tmp_path, "sampled").name == "student (sampled)"
    save_student(DenseStudent(4, 2), tmp_path)
    assert load_policy(tmp_path).name == "student (sampled)"


@pytest.mark.parametrize(
    "observation",
    [
        [0.0, np.nan, 0.0, 0.0],
        [np.inf] * 4,
        [0.0] * 3,
        [0.0] * 5,
        [[0.0] * 4] * 2,
        [],
        "north",
        None,
        {"a": 1},
        [[1], []],
    ],
)
def test_an_observation_of_another_kind_is_refused_in_one_line(tmp_path: Path, observation: object) -> None:
    save_student(DenseStudent(4, 2), tmp_path)
    policy = load_policy(tmp_path)
    with pytest.raises(WeanError) as caught:
        policy.act(np.array(observation) if isinstance(observation, list) and len(observation) != 2 else observation)
    assert "\n" not in str(caught.value)
    assert policy.act(np.zeros(4)) in (0, 1)


def test_spaces_without_a_student_are_named() -> None:
    with pytest.raises(UsageError, match="Discrete action space is needed"):
        make_student(gym.spaces.Discrete(2), gym.spaces.Box(0, 1, (2,)))
    with pytest.raises(UsageError, match="FlattenObservation"):
        make_student(gym.spaces.Text(5), gym.spaces.Discrete(2))


@pytest.mark.parametrize("recurrent", [False, True])
def test_an_actor_acts_as_the_student_does(tmp_path: Path, recurrent: bool) -> None:
    torch.manual_seed(0)
    save_student(DenseStudent(3, 4, config=StudentConfig(hidden=8, recurrent=recurrent)), tmp_path)
    actor, student = load_policy(tmp_path, "greedy"), load_student(tmp_path)
    observations, state, fresh = (
        np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32),
        student.first_state(1),
        True,
    )
    for observation in observations:
        probabilities, state = student.probabilities(observation[None], state, np.array([fresh]))
        fresh = False
        assert actor.act(observation) == probabilities.argmax()
    first = [actor.act(o) for o in observations]
    actor.reset()
    again = [actor.act(o) for o in observations]
    actor.reset()
    assert again == [actor.act(o) for o in observations]
    assert recurrent or first == again


def test_an_actor_draws_as_often_as_is_probable(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = DenseStudent(2, 3, config=StudentConfig(hidden=8))
    with torch.no_grad():
        student.actor.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    observation = np.array([0.3, -0.2], np.float32)
    expected = student.probabilities(observation[None], student.first_state(1), np.ones(1, bool))[0][0]
    actor = StudentPolicy(student)
    actor.reset(1)
    drawn = np.bincount([actor.act(observation) for _ in range(3000)], minlength=3) / 3000
    assert drawn == pytest.approx(expected, abs=0.04)


def test_the_kind_is_what_the_task_declares_and_never_guessed_from_a_shape() -> None:
    stacked = gym.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    actions = gym.spaces.Discrete(3)
    assert type(make_student(stacked, actions, StudentConfig(hidden=8))) is DenseStudent
    room = SerialTasks([partial(make_task, "SimpleDoorKey")])
    assert room.observation == "map"
    assert type(make_student(room.observation_space, actions, observation=room.observation)) is GridStudent
    flat = make_student(room.observation_space, actions, StudentConfig(kind="dense"), room.observation)
    assert type(flat) is DenseStudent
    assert type(make_student(stacked, actions, StudentConfig(kind="grid", hidden=8))) is GridStudent


def test_a_declared_map_must_be_one() -> None:
    with pytest.raises(UsageError, match=r"a grid student sees a map, uint8 \(W, H, 4\).*; set student.kind=dense"):
        make_student(gym.spaces.Box(0, 1, (3,)), gym.spaces.Discrete(2), observation="map")
    with pytest.raises(UsageError, match=r"no student.kind=grit; did you mean 'grid'"):
        make_student(gym.spaces.Box(0, 1, (3,)), gym.spaces.Discrete(2), StudentConfig(kind="grit"))


class FrameStack(gym.Env[np.ndarray, int]):
    """Four stacked frames of 84 x 84; the brighter half says which action is rewarded."""

    observation_space = gym.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward, self.steps = float(action == self.side), self.steps + 1
        return self._seen(), reward, False, self.steps == 8, {}

    def _seen(self) -> np.ndarray:
        self.side = int(self.np_random.integers(2))
        frames = np.zeros((84, 84, 4), np.uint8)
        frames[:, 42 * self.side : 42 * (self.side + 1)] = 1
        return frames


def test_stacked_frames_train_as_an_array() -> None:
    torch.manual_seed(0)
    tasks = SerialTasks([FrameStack] * 8)
    student = make_student(tasks.observation_space, tasks.action_space, StudentConfig(hidden=16), tasks.observation)
    PPO(
        student, tasks, PPOConfig(total_timesteps=2048, num_envs=8, num_steps=16, learning_rate=3e-4, gamma=0.0)
    ).learn()
    played = play_seeds(StudentPolicy(student, "greedy"), SerialTasks([FrameStack]), 4, 10_000)
    assert played.returns.mean() > 7


def test_a_folder_of_the_version_before_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = StudentConfig(hidden=8, view_radius=2, border_distances=True, object_set=True, reflection=True)
    student = GridStudent(6, 6, 7, config)
    save_student(student, tmp_path)
    old = {"view_radius": "reach", "border_distances": "edges", "object_set": "census", "reflection": "mirror"}
    saved = json.loads((tmp_path / "config.json").read_text())
    assert set(old) < set(saved)
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / "config.json").write_text(json.dumps({old.get(name, name): value for name, value in saved.items()}))
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("border_distances", "object_set"):
        weights[f"{old[name]}.weight"] = weights.pop(f"{name}.weight")
    save_file(weights, tmp_path / "model.safetensors")
    again = load_student(tmp_path)
    assert isinstance(again, GridStudent)
    assert again.config == student.config
    image = torch.from_numpy(_room(6, 6, (2, 2), 0, (3, 3))[None])
    assert torch.equal(again.features(image), student.features(image))


class Linear(Student):
    """A student that a package adds."""

    kind = "linear"

    def __init__(self, size: int, num_actions: int) -> None:
        super().__init__({"size": size, "num_actions": num_actions}, size, num_actions)

    @classmethod
    def for_task(
        cls, observation_space: gym.Space, num_actions: int, config: StudentConfig, observation: str
    ) -> Student:
        return cls(int(np.prod(observation_space.shape)), num_actions)

    def features(self, observations: torch.Tensor) -> torch.Tensor:
        return observations.flatten(1).float()


def test_an_installed_package_can_add_a_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = {"linear": lambda: Linear}
    monkeypatch.setattr(saving, "entry_points", lambda group: added if group == "wean.students" else {})
    student = make_student(gym.spaces.Box(-1, 1, (2, 3)), gym.spaces.Discrete(4), StudentConfig(kind="linear"))
    assert isinstance(student, Linear)
    save_student(student, tmp_path)
    again = load_student(tmp_path)
    assert isinstance(again, Linear)
    sight = np.ones((1, 2, 3), np.float32)
    one, other = (s.probabilities(sight, s.first_state(1), np.ones(1, bool))[0] for s in (student, again))
    assert (one == other).all()

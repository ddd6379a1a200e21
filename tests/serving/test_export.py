"""Every kind of student leaves, and acts as it did: same actions for same seeds, wrong input in one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

import wean
from exported_students import corridor_situation, saved
from small_tasks import Corridor
from wean.agents.policy import load_policy
from wean.cli import main
from wean.runtime import ExportError, PolicyError, load
from wean.students.action_values import TextValues
from wean.students.config import StudentConfig
from wean.students.grid import GridStudent
from wean.students.saving import save_student
from wean.tasks.situation import Situation

pytest.importorskip("onnxscript", reason="export needs an extra: pip install '.[export]'")

ROOT = Path(__file__).parents[2]
QUICK = ["grid", "memory", "table", "camera"]
SLOW = ["states", "grid with every option", "grid of skills, with a memory"]
EVERY = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


class Sent:
    """A student's own folder, its exported folder, its task, and what was said at export."""

    def __init__(self, name: str, where: Path) -> None:
        self.own, self.out = where / "own", where / "out"
        self.make = saved(name, self.own).make
        make = None if name == "grid" else self.make  # the grid student's folder says its task
        self.export = wean.export(self.own, self.out, make=make, observations=200)

    def episode(self, seed: int) -> Iterator[Any]:
        """What is seen in an episode of random actions."""
        env, random = self.make(), np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        for _ in range(30):
            yield observation
            observation, _, terminated, truncated, _ = env.step(int(random.integers(env.action_space.n)))
            if terminated or truncated:
                return


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Exports each kind once."""
    known: dict[str, Sent] = {}

    def of(name: str) -> Sent:
        if name not in known:
            known[name] = Sent(name, tmp_path_factory.mktemp("sent"))
        return known[name]

    return of


@pytest.mark.parametrize("name", EVERY)
def test_it_computes_the_same_in_held_out_observations(sent: Any, name: str) -> None:
    parity = sent(name).export.parity
    assert parity.observations >= 200
    assert parity.difference <= 1e-5
    assert parity.agreement == 1


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("acting", ["sampled", "greedy", "no_repeat"])
def test_it_plays_the_same_episodes(sent: Any, name: str, acting: Any) -> None:
    one = sent(name)
    if name == "table" and acting == "no_repeat":
        pytest.skip("students of action values do not act so")
    if name == "grid of skills, with a memory":
        pytest.skip("played by runs, whose view of the task has skills")
    own, out = (wean.evaluate(wean.load(folder, acting), one.make, 12) for folder in (one.own, one.out))
    assert out.episodes.returns.tolist() == own.episodes.returns.tolist()
    assert out.episodes.lengths.tolist() == own.episodes.lengths.tolist()


@pytest.mark.parametrize("name", ["grid", "memory", "camera"])
@pytest.mark.parametrize("acting", ["sampled", "greedy", "no_repeat"])
def test_equal_seeds_give_equal_actions(sent: Any, name: str, acting: Any) -> None:
    own, out = load_policy(sent(name).own, acting), load(sent(name).out, acting)
    for seed in range(3):
        own.reset(seed)
        out.reset(seed)
        seen = list(sent(name).episode(seed))
        assert [out.act(one) for one in seen] == [own.act(one) for one in seen]


def test_a_camera_shows_image_and_state_apart(sent: Any) -> None:
    policy = load(sent("camera").out, "greedy")
    seen = list(sent("camera").episode(0))
    alone = [policy.act(one) for one in seen]
    policy.reset(members=len(seen))
    stacked = {name: np.stack([one[name] for one in seen]) for name in ("image", "state")}
    assert policy.act(stacked).tolist() == alone
    assert [wean.load(sent("camera").out, "greedy").act(one) for one in seen] == alone
    as_json = [{name: part.tolist() for name, part in one.items()} for one in seen]
    assert (policy.observations.read(as_json)[..., :2] == stacked["image"]).all()
    for wrong in ({"image": seen[0]["image"]}, {**seen[0], "state": np.full(3, 1.5)}, {**seen[0], "state": "up"}):
        with pytest.raises(PolicyError, match="give both as its task returns them"):
            policy.observations.one(wrong)


def test_a_batch_with_memory_acts_as_each_member_alone(sent: Any) -> None:
    policy = load(sent("memory").out, "greedy")
    seen = np.random.default_rng(0).uniform(-1, 1, (6, 4, 1)).astype(np.float32)
    starts = np.zeros((6, 4), bool)
    starts[3, 1] = starts[2, 3] = True  # episodes end at different times
    policy.reset(members=4)
    together = np.stack([policy.act(row, begins) for row, begins in zip(seen, starts, strict=True)], 1)
    for member in range(4):
        alone = []
        policy.reset()
        for row, begins in zip(seen[:, member], starts[:, member], strict=True):
            if begins:
                policy.reset()
            alone.append(policy.act(row))
        assert together[member].tolist() == alone


def test_a_batch_of_one_draws_as_one_alone(sent: Any) -> None:
    policy = load(sent("grid").out, "sampled")
    maps = [one["image"] for one in sent("grid").episode(1)]
    policy.reset(seed=5)
    alone = [policy.act(one) for one in maps]
    policy.reset(seed=5, members=1)
    assert [int(policy.act(one[None])[0]) for one in maps] == alone


def test_a_situation_can_be_a_mapping_and_many_a_list(sent: Any) -> None:
    policy = load(sent("table").out)
    words = [{"text": f"You are in cell {cell}.", "choices": ["left", "right"]} for cell in (0, 1, 2, 9)]
    assert policy.act(words).tolist() == [policy.act(one) for one in words]
    assert policy.act(Situation("", **{**words[1], "choices": ("left", "right")})) == policy.act(words[1])


def _map(**changes: int) -> np.ndarray:
    """A map with an agent, and some wrong numbers."""
    shown = np.zeros((10, 10, 4), np.uint8)
    shown[..., 3] = 4
    shown[5, 5, 3] = changes.get("direction", 1)
    shown[2, 2, 0] = changes.get("object", 0)
    shown[2, 2, 1] = changes.get("color", 0)
    shown[2, 2, 3] = changes.get("second", 4)
    return shown


WRONG_MAPS = {
    "no array": ([1, 2, 3], "numpy.asarray"),
    "None": (None, "NoneType"),
    "a dictionary without an image": ({"picture": _map()}, "NoneType"),
    "another shape": (np.zeros((9, 10, 4), np.uint8), r"shape \(10, 10, 4\), not \(9, 10, 4\)"),
    "a batch for one": (_map()[None], "name the members"),
    "another type": (_map().astype(np.int64), "uint8, not int64"),
    "floats": (np.full((10, 10, 4), np.nan), "uint8, not float64"),
    "an unknown object": (_map(object=11), "outside"),
    "an unknown colour": (_map(color=6), "outside"),
    "no agent": (_map(direction=4), "agent once"),
    "two agents": (_map(second=0), "agent once"),
}


@pytest.mark.parametrize("what", WRONG_MAPS)
def test_a_wrong_map_is_refused_in_one_line(sent: Any, what: str) -> None:
    policy = load(sent("grid").out)
    wrong, said = WRONG_MAPS[what]
    assert policy.act(_map()) in range(7)
    with pytest.raises(PolicyError, match=said) as error:
        policy.act(wrong)
    assert "\n" not in str(error.value)
    if isinstance(wrong, np.ndarray) and wrong.shape == (10, 10, 4):  # the same in a batch
        policy.reset(members=2)
        with pytest.raises(PolicyError, match=said):
            policy.act(np.stack([wrong, _map().astype(wrong.dtype)]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.array([np.nan], np.float32), "NaN"),
        (np.array([np.inf], np.float32), "NaN or infinite"),
        (np.array([1.5], np.float32), "outside"),
        (np.array([-2.0], np.float32), "outside"),
        (np.array([0.5]), "float32, not float64"),
        (np.array(["x"]), "float32, not"),
        (np.array([object()]), "float32, not object"),
        (np.float32(0.5), "numpy array"),
    ],
)
def test_wrong_numbers_are_refused_in_one_line(sent: Any, wrong: Any, said: str) -> None:
    policy = load(sent("memory").out)
    with pytest.raises(PolicyError, match=said) as error:
        policy.act(wrong)
    assert "\n" not in str(error.value)
    with pytest.raises(wean.UsageError):
        wean.load(sent("memory").out).act(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [-1, 5, 1.0, True, "2", None, [1], np.array([1]), np.array(2.0)])
def test_a_wrong_state_is_refused(sent: Any, wrong: Any) -> None:
    policy = load(sent("states").out, "greedy")
    assert policy.act(2) == policy.act(np.int64(2)) == policy.act(np.array(2))
    with pytest.raises(PolicyError):
        policy.act(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "cell 1",
        None,
        [],
        {"text": "You are in cell 1."},
        {"text": "You are in cell 1.", "choices": []},
        {"text": "You are in cell 1.", "choices": "left"},
        {"text": 1, "choices": ["left"]},
        {"text": "You are in cell 1.", "choices": ["left", 2]},
        {"text": "You are in cell 1.", "choices": ["left", "right", "up"]},
    ],
)
def test_what_is_no_situation_is_refused(sent: Any, wrong: Any) -> None:
    with pytest.raises(PolicyError) as error:
        load(sent("table").out).act(wrong)
    assert "\n" not in str(error.value)


def test_wrong_members_starts_and_ways_to_act_are_refused(sent: Any) -> None:
    policy = load(sent("memory").out)
    with pytest.raises(PolicyError, match="0 members"):
        policy.reset(members=0)
    policy.reset(members=2)
    seen = np.zeros((2, 1), np.float32)
    for starts in ([True], [1, 0], [True, False, True]):
        with pytest.raises(PolicyError, match="starts must be 2 truth values"):
            policy.act(seen, starts)
    with pytest.raises(PolicyError, match="shape"):
        policy.act(np.zeros((3, 1), np.float32))
    with pytest.raises(PolicyError, match="choose sampled or greedy or no_repeat"):
        load(sent("memory").out, "best")
    with pytest.raises(wean.UsageError, match=r"choose sampled or greedy$"):
        wean.load(sent("table").out, "no_repeat")


def _config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, **changes}))


DAMAGE = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "a cut config": lambda folder: (folder / "config.json").write_text('{"schema": "wean-exp'),
    "a config of bytes": lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"),
    "a list": lambda folder: (folder / "config.json").write_text("[1]"),
    "another version": lambda folder: _config(folder, schema="wean-export/99"),
    "no network": lambda folder: (folder / "model.onnx").unlink(),
    "a cut network": lambda folder: (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:500]),
    "another network": lambda folder: _config(folder, memory=0),
    "no checksums": lambda folder: _config(folder, sha256={}),
    "no observation": lambda folder: _config(folder, observation=None),
    "a wrong shape": lambda folder: _config(folder, observation={"shape": ["x"], "dtype": "float32"}),
    "a wrong type": lambda folder: _config(folder, observation={"shape": [1], "dtype": "text", "low": 0, "high": 1}),
    "a wrong bound": lambda folder: _config(
        folder, observation={"shape": [1], "dtype": "float32", "low": [1, 2, 3], "high": 1}
    ),
    "a wrong memory": lambda folder: _config(folder, memory="8"),
    "a wrong way to act": lambda folder: _config(folder, acting=7),
    "an unknown way to act": lambda folder: _config(folder, acting="best"),
    "wrong names": lambda folder: _config(folder, actions="left"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(sent: Any, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(sent("memory").out, folder)
    DAMAGE[what](folder)
    with pytest.raises(PolicyError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    with pytest.raises(wean.WeanError) as again:
        wean.load(folder)
    assert "\n" not in str(again.value)


def test_a_swapped_network_is_refused_even_where_its_checksum_is_right(sent: Any, tmp_path: Path) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(sent("memory").out, folder)
    shutil.copy(sent("grid").out / "model.onnx", folder / "model.onnx")
    sums = json.loads((sent("grid").out / "config.json").read_text())["sha256"]
    _config(folder, sha256=sums)
    with pytest.raises(ExportError, match="do not belong together"):
        load(folder)


def test_it_knows_its_task_its_actions_and_how_it_acts(sent: Any) -> None:
    policy = load(sent("grid").out)
    assert (policy.task, policy.acting, policy.actions[0]) == ("SimpleDoorKey", "no_repeat", "turn left")
    assert load(sent("memory").out).acting == "sampled"
    assert load(sent("table").out).acting == "greedy"


def test_a_folder_has_a_card_and_an_example_that_runs(sent: Any) -> None:
    for name, says in (("grid", "turn left, turn right, go"), ("table", "the choices of the situation")):
        folder = sent(name).out
        card = (folder / "README.md").read_text()
        assert says in card
        assert "onnx" in ModelCard(card).data.tags
        assert "largest difference" in card
        example = (folder / "example.py").read_text()
        assert len(example.splitlines()) <= 30
        code = (
            "import sys, runpy, wean.runtime; sys.modules['wean_runtime'] = wean.runtime; runpy.run_path(sys.argv[1])"
        )
        command = [sys.executable, "-c", code, str(folder / "example.py")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_what_cannot_leave_is_refused_in_one_line(tmp_path: Path, sent: Any) -> None:
    own, make = sent("memory").own, sent("memory").make
    reader = tmp_path / "reader"
    reader.mkdir()
    (reader / "config.json").write_text('{"type": "decoder"}')
    goals = tmp_path / "goals"
    save_student(GridStudent(10, 10, 7, StudentConfig(hidden=4, goal="object")), goals)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    out = tmp_path / "new"
    for call, said in (
        (lambda: wean.export(tmp_path / "nowhere", out), "holds no student"),
        (lambda: wean.export(goals, out, make="SimpleDoorKey"), "sub-goals"),
        (lambda: wean.export(own, out), "name it with --task"),
        (lambda: wean.export(own, out, make="NoSuchTask"), "unknown task"),
        (lambda: wean.export(own, out, make="SimpleDoorKey"), "its own task"),
        (lambda: wean.export(own, taken, make=make), "is not empty"),
        (lambda: wean.export(sent("grid").out, out), "already"),
    ):
        with pytest.raises(wean.WeanError, match=said) as error:
            call()
        assert "\n" not in str(error.value)
    assert (taken / "thesis.txt").read_text() == "mine"
    assert not out.exists()


def test_a_missing_extra_is_named(tmp_path: Path, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sent("memory")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(wean.UsageError, match=r"onnxscript is not installed: pip install '.\[export\]'"):
        wean.export(one.own, tmp_path / "out", make=Corridor)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(wean.UsageError, match="onnxruntime is not installed"):
        wean.load(one.out)


def test_eval_plays_an_exported_student_as_its_original(
    sent: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--episodes", "6", "--json"]  # the folder says its task
    monkeypatch.setattr(sys, "argv", ["wean", "eval", str(sent("grid").out), *how])
    with pytest.raises(SystemExit) as code:
        main()
    assert code.value.code == 0
    found, own = json.loads(capsys.readouterr().out), wean.evaluate(wean.load(sent("grid").own), "SimpleDoorKey", 6)
    assert (found["task"], found["episodes"], found["seed"]) == ("SimpleDoorKey", 6, 10_000)
    assert found["return"]["mean"] == own.returns.mean
    monkeypatch.setattr(sys, "argv", ["wean", "eval", str(sent("grid").out), "--task", "FrozenLake4x4", *how])
    with pytest.raises(SystemExit):
        main()
    assert "has 7 actions" in capsys.readouterr().err


@pytest.mark.slow
def test_eval_plays_an_exported_student_of_skills(
    sent: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sent("grid of skills, with a memory").out
    monkeypatch.setattr(sys, "argv", ["wean", "eval", str(folder), "--task", "SimpleDoorKey", "--episodes", "3"])
    with pytest.raises(SystemExit) as code:
        main()
    assert code.value.code == 0


@pytest.mark.slow
def test_eight_bits_of_a_task_without_success_are_measured_by_its_return(tmp_path: Path, sent: Any) -> None:
    found = wean.export(sent("memory").own, tmp_path / "small", make=sent("memory").make, int8=True, observations=50)
    assert found.loss is not None
    assert found.loss.measure == "mean return"
    assert "mean return before and after 8 bits" in (tmp_path / "small" / "README.md").read_text()


@pytest.mark.slow
def test_eight_bits_are_are_smaller_and_their_loss_is_measured(tmp_path: Path, sent: Any) -> None:
    found = wean.export(sent("grid").own, tmp_path / "small", make=sent("grid").make, int8=True, observations=200)
    assert found.loss is not None
    assert found.loss.measure == "success"
    assert "success before and after 8 bits" in (tmp_path / "small" / "README.md").read_text()
    sizes = [(folder / "model.onnx").stat().st_size for folder in (tmp_path / "small", sent("grid").out)]
    assert sizes[0] < sizes[1]


@pytest.mark.slow
def test_a_reader_of_values_leaves_with_its_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path / "cache"))
    encoder, own, out = tmp_path / "encoder", tmp_path / "own", tmp_path / "out"
    words = sorted({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "you", "are", "in", "cell", ".", *"01234", "left", "right"})
    encoder.mkdir()
    (encoder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(encoder / "vocab.txt")).save_pretrained(encoder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=32, initializer_range=0.5, **size)
    transformers.BertModel(config).save_pretrained(encoder)
    student = TextValues(str(encoder), size=16, hidden=8, temperature=0.5)
    torch.nn.init.normal_(student.head.get_parameter("out.weight"))
    student.attach_prior(lambda new: [np.array([0.2, 0.8]) for _ in new])
    student.meet([corridor_situation(cell) for cell in (0, 1)])
    student.settle()
    student.detach_prior()
    save_student(student, own)
    found = wean.export(own, out, make=Corridor, observations=60)  # meets cells that it does not know
    assert found.parity.difference <= 1e-5
    assert found.parity.agreement == 1
    here, there = load_policy(own, "sampled"), load(out, "sampled")
    here.reset(seed=1)
    there.reset(seed=1)
    cells = [corridor_situation(cell) for cell in (0, 3, 1, 4, 2, 0) * 5]
    assert [there.act(one) for one in cells] == [here.act(one) for one in cells]
    for name in ("encoder.onnx", "tokenizer.json", "vectors.npy", "situations.json"):
        damaged = tmp_path / name
        shutil.copytree(out, damaged)
        (damaged / name).write_bytes((damaged / name).read_bytes()[:-9])
        with pytest.raises(ExportError, match=name):
            load(damaged).act(corridor_situation(4))


def test_the_command_line_exports(tmp_path: Path, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wean", "export", str(sent("memory").own), "--out", str(tmp_path / "x")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2  # it does not say its task


@pytest.mark.slow
def test_the_runtime_is_installed_and_acts_without_wean(tmp_path: Path, sent: Any) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    constraints = ROOT / "constraints.txt"
    install = [python, "-m", "pip", "install", "-q", "--constraint", constraints, ROOT / "runtime"]
    subprocess.run(install, check=True, cwd=tmp_path)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    example = [python, sent("grid").out / "example.py"]
    done = subprocess.run(example, check=True, capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert len(done.stdout.splitlines()) >= 6
    told = "import sys, wean_runtime; print([name for name in ('torch', 'gymnasium', 'wean') if name in sys.modules])"
    done = subprocess.run([python, "-c", told], check=True, capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert done.stdout.strip() == "[]"

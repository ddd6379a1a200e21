"""The settings of one run: what a preset fixes, what the user overrides, and how both are checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wean.algorithms.cql import CQLConfig
from wean.algorithms.dqn import DQNConfig
from wean.algorithms.finetune import FinetuneConfig
from wean.algorithms.imitation import ImitationConfig
from wean.algorithms.offline import CloningConfig
from wean.algorithms.ppo import PPOConfig
from wean.algorithms.rewards import RewardConfig
from wean.algorithms.when2ask import When2AskConfig
from wean.errors import UsageError, did_you_mean
from wean.experiment.presets import METHODS, Method
from wean.students.config import StudentConfig
from wean.students.no_repeat import Acting
from wean.teachers.config import AdviceConfig, PriorConfig

SCHEMA = "wean-config/1"

AnyConfig = PPOConfig | ImitationConfig | When2AskConfig | DQNConfig | CQLConfig | CloningConfig | FinetuneConfig


class EvaluationSettings(BaseModel):
    """How the student is judged, during training and after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    acting: Acting = "sampled"
    """How the shipped student acts: draws, takes the most probable action, or that without going in circles."""
    curve_points: int = Field(20, ge=0)
    """Evaluations along the run (and checkpoints, which are taken then)."""
    curve_spacing: Literal["linear", "geometric"] = "linear"
    """Evenly, or ever farther apart from a two-hundredth of the run on: shows what learns fast."""
    curve_episodes: int = Field(100, gt=0)
    """Episodes in each of them, on seeds from 5000: never those of the final figures."""
    episodes: int = Field(500, gt=0)
    """Held-out episodes of the final figures, on seeds from 10000."""
    recorded_episodes: int = Field(3, ge=0)
    """How many of them the report shows step by step."""


class RunConfig(BaseModel):
    """Everything that determines a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    """Name of the preset."""
    task: str
    """Short name or registered id of the task."""
    model: str | None
    """The teacher's language model; None for a method without teacher."""
    seed: int = Field(1, ge=0)
    """Seeds the student's first weights, its actions and its episodes."""
    threads: int = Field(1, gt=0)
    """PyTorch's threads; small students are no faster with more."""
    algorithm: AnyConfig
    """Settings of the learning algorithm."""
    student: StudentConfig = StudentConfig()
    """Settings of the student."""
    advice: AdviceConfig = AdviceConfig()
    """Settings of the teacher's advice."""
    prior: PriorConfig = PriorConfig()
    """Settings of the prior over the actions."""
    rewards: RewardConfig = RewardConfig()
    """Settings of the rewards that teach."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Settings of the evaluation."""

    def as_yaml(self) -> str:
        """The resolved settings as `config.yaml`."""
        return yaml.safe_dump({"schema": SCHEMA, **self.model_dump()}, sort_keys=False)


ALGORITHMS: dict[str, type[AnyConfig]] = {
    "ppo": PPOConfig,
    "imitation": ImitationConfig,
    "when2ask": When2AskConfig,
    "dqn": DQNConfig,
    "cql": CQLConfig,
    "cloning": CloningConfig,
    "subgoals": FinetuneConfig,
}
SECTIONS: dict[str, type[BaseModel]] = {
    "student": StudentConfig,
    "advice": AdviceConfig,
    "prior": PriorConfig,
    "rewards": RewardConfig,
    "evaluation": EvaluationSettings,
}
_TOP = ("threads",)
RENAMED = {
    "student.reach": "student.view_radius",
    "student.edges": "student.border_distances",
    "student.census": "student.object_set",
    "student.mirror": "student.reflection",
    "total_timesteps": "gradient_steps",
}
"""Keys of earlier versions; one that a method still has is not an old key there."""


def find_method(name: str) -> Method:
    """Finds a preset by name.

    Raises:
        UsageError: If there is none.
    """
    if name in METHODS:
        return METHODS[name]
    hint = did_you_mean(name, METHODS, f"there are {', '.join(METHODS)}")
    raise UsageError(f"unknown method {name!r}; {hint}")


def resolve(
    method_name: str,
    task: str | None = None,
    model: str | None = None,
    seed: int = 1,
    overrides: Sequence[str] = (),
) -> RunConfig:
    """Makes the settings of a run out of a preset and `key=value` overrides.

    Keys of the algorithm stand alone (`total_timesteps=60000`, `teacher.until=0.4`); others carry their section
    (`student.hidden=64`, `advice.mode=argmax`, `evaluation.episodes=100`).

    Args:
        method_name: The preset.
        task: The task; the preset's first one by default.
        model: The teacher's model; the preset's by default.
        seed: The run's seed.
        overrides: `key=value` strings; values are read as YAML.

    Raises:
        UsageError: If a name, key or value is wrong; the message names the nearest right one.
    """
    method = find_method(method_name)
    task = task or method.home
    config_type = ALGORITHMS[method.algorithm]
    tree: dict[str, Any] = {"algorithm": {}, **{section: {} for section in SECTIONS}}
    short = task.removeprefix("wean/").removesuffix("-v0")
    for source in (method.settings, method.per_task.get(short, {})):
        for key, value in source.items():
            _put(tree, key, value, config_type)
    for item in overrides:
        key, sign, text = item.partition("=")
        if not sign:
            raise UsageError(f"{item!r} is not key=value; write e.g. total_timesteps=60000")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError(f"the value of {key} cannot be read: {text!r}; quote it for your shell") from None
        _put(tree, key, value, config_type)
    try:
        return RunConfig(
            method=method.name,
            task=task,
            model=(model or method.models.get(short, method.model)) if method.teaches else None,
            seed=seed,
            algorithm=config_type(**tree.pop("algorithm")),
            **tree,
        )
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None


def from_yaml(text: str) -> RunConfig:
    """Reads a run's `config.yaml`.

    Raises:
        UsageError: If it was written by another version or edited into something wrong.
    """
    try:
        values = yaml.safe_load(text)
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise UsageError(f"config.yaml is not of schema {SCHEMA}; use the wean that wrote it")
        algorithm = ALGORITHMS[find_method(values["method"]).algorithm]
        return RunConfig(**{**values, "algorithm": algorithm(**values["algorithm"])})
    except (yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        detail = _first_error(error) if isinstance(error, ValidationError) else "it cannot be read"
        raise UsageError(f"config.yaml is damaged ({detail}); start a new run") from None


def command_line(config: RunConfig, out: str) -> str:
    """The `wean train` command that makes a run with these settings.

    Args:
        config: The settings.
        out: The run folder.
    """
    preset = resolve(config.method, config.task, seed=config.seed)
    words = ["wean", "train", config.method, "--task", config.task, "--seed", str(config.seed), "--out", out]
    if config.model != preset.model:
        words += ["--model", str(config.model)]
    wanted, given = (
        _flat({**c.model_dump(), "algorithm": {}}) | _flat(c.algorithm.model_dump()) for c in (config, preset)
    )
    for key, value in wanted.items():
        if key != "model" and value != given[key]:
            words.append(f"{key}={json.dumps(value)}" if not isinstance(value, str) else f"{key}={value}")
    return shlex.join(words)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def advice_settings(**values: Any) -> AdviceConfig:
    """Checks settings of the advice that come from a command line.

    Raises:
        UsageError: If one is wrong.
    """
    try:
        return AdviceConfig(**values)
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None


def _put(tree: dict[str, Any], key: str, value: Any, config_type: type[BaseModel]) -> None:
    """Puts a value at a dotted key, after checking that the key exists."""
    path = key.split(".")
    if path[0] in SECTIONS:
        names = [f"{path[0]}.{name}" for name in SECTIONS[path[0]].model_fields]
        at = tree[path[0]]
        path = path[1:]
    elif path[0] in _TOP:
        tree[path[0]] = value
        return
    else:
        names = _field_names(config_type)
        at = tree["algorithm"]
    if key not in names:
        if RENAMED.get(key) in names or (key in RENAMED and "." in key):
            raise UsageError(f"{key} is now called {RENAMED[key]}")
        every = [*_field_names(config_type), *_TOP]
        for section, known in SECTIONS.items():
            every += [f"{section}.{name}" for name in known.model_fields]
        hint = did_you_mean(key, every, f"there are {', '.join(every)}")
        raise UsageError(f"unknown key {key!r}; {hint}")
    for name in path[:-1]:
        at = at.setdefault(name, {})
    at[path[-1]] = value


def _field_names(config_type: type[BaseModel]) -> list[str]:
    names = []
    for name, field in config_type.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += [f"{name}.{inner}" for inner in field.annotation.model_fields]
        else:
            names.append(name)
    return names


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"


def describe_fields(config_type: type[BaseModel]) -> Mapping[str, tuple[str, Any]]:
    """Every dotted key of a configuration with its one-line description and its default, for `--help`."""
    import ast
    import inspect
    import textwrap

    found: dict[str, tuple[str, Any]] = {}
    lines: dict[str, str] = {}
    for owner in reversed(config_type.__mro__[: config_type.__mro__.index(BaseModel)]):  # inherited fields first
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                lines[node.target.id] = str(following.value.value)
    for name, field in config_type.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = describe_fields(field.annotation)
            found |= {f"{name}.{key}": value for key, value in inner.items()}
        else:
            found[name] = (lines.get(name, ""), field.default)
    return found

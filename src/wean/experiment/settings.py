"""The settings of one run: what a preset fixes, what the user overrides, and how both are checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wean.algorithms.cloning import CloningConfig
from wean.algorithms.cql import CQLConfig
from wean.algorithms.dqn import DQNConfig
from wean.algorithms.finetune import FinetuneConfig
from wean.algorithms.imitation import ImitationConfig
from wean.algorithms.ppo import PPOConfig
from wean.algorithms.when2ask import When2AskConfig
from wean.errors import UsageError, did_you_mean
from wean.experiment.presets import METHODS, Method
from wean.students.no_repeat import Acting
from wean.students.subgoal_encoding import Goal

SCHEMA = "wean-config/1"

AnyConfig = PPOConfig | ImitationConfig | When2AskConfig | DQNConfig | CQLConfig | CloningConfig | FinetuneConfig


class StudentSettings(BaseModel):
    """The student's size and kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(128, gt=0)
    """Width of the hidden layers."""
    recurrent: bool = False
    """Gives the student a memory (a GRU)."""
    reach: int | None = Field(None, gt=0)
    """Cells of a grid map that the student sees to each side; none: all of a small map, at most 9."""
    edges: bool = False
    """Tells a student of a grid map how far off the map's edges are."""
    census: bool = False
    """Tells it what things there are on the map, wherever they are: for keys and locks that must fit."""
    mirror: bool = False
    """Makes left and right one to a student of a grid map: half as much to learn, at twice the work."""
    chooses: Literal["actions", "skills"] = "actions"
    """What it chooses: the task's own actions, or skills, which then run until they are over."""
    goal: Goal = "none"
    """The current sub-goal that it sees, on a grid map: none, its position, its object, or its phrase's vector."""
    values: Literal["text", "table"] = "text"
    """Where actions are valued: a small network on sentence vectors, or a table for tasks of few situations."""
    encoder: str = "minilm"
    """Sentence encoder of `values=text` and `goal=language`: `minilm` (`wean models get minilm`), or a model folder."""


class AdviceSettings(BaseModel):
    """How the teacher is asked and what becomes of its answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["soft", "sampled", "argmax"] = "soft"
    """All plans with their probabilities, one drawn plan a step, or the most probable action."""
    elicitation: Literal["verbalized", "samples", "logprobs"] = "verbalized"
    """The model states probabilities, is asked several times, or scores the choices."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature of the questions (of the softmax for logprobs); none leaves it to the model."""
    when: Literal["always", "new", "uncertain", "disagree", "every"] = "always"
    """Asks at every moment, in new situations, where the student is uncertain or disagrees, or every n-th step."""
    every: int = Field(10, gt=0)
    """For when=every: steps from one question to the next."""
    min_entropy: float = Field(0.5, ge=0, le=1)
    """For when=uncertain: entropy of the student, as a share of the greatest possible, from which on it asks."""
    min_disagreement: float = Field(0.5, ge=0, le=1)
    """For when=disagree: total variation between student and last known advice from which on it asks."""
    max_questions: int | None = Field(None, ge=0)
    """Questions in a run at most; without advice from there on. None sets no limit, 0 asks nothing."""
    memory: bool = True
    """A situation asked about once stays advised; without it every advised moment counts as a question."""


class PriorSettings(BaseModel):
    """How a language model is asked for a prior over the actions, and what becomes of its answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    elicitation: Literal["verbalized", "samples", "logprobs"] = "verbalized"
    """The model states probabilities, proposes `k` actions in free words, or scores all actions."""
    temperature: float | None = Field(None, gt=0)
    """Flattens the prior above 1 and sharpens it below; for `samples` the model's own sampling temperature."""
    k: int | None = Field(None, gt=0)
    """Proposals a situation (for `samples` 5 by default); none keeps the whole distribution."""
    epsilon: float = Field(0.0, ge=0, le=1)
    """Share of the uniform distribution that is mixed in; above 0 no action is ruled out."""


class RewardSettings(BaseModel):
    """Rewards that teach, beside the environment's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    term: Literal["none", "beacons", "judge"] = "none"
    """Nothing; the sub-goals of the teacher's plans as they are reached; or a judge's rating of each action."""


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
    student: StudentSettings = StudentSettings()
    """Settings of the student."""
    advice: AdviceSettings = AdviceSettings()
    """Settings of the teacher's advice."""
    prior: PriorSettings = PriorSettings()
    """Settings of the prior over the actions."""
    rewards: RewardSettings = RewardSettings()
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
    "student": StudentSettings,
    "advice": AdviceSettings,
    "prior": PriorSettings,
    "rewards": RewardSettings,
    "evaluation": EvaluationSettings,
}
_TOP = ("threads",)


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
        key, value = _read(item)
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


def advice_settings(**values: Any) -> AdviceSettings:
    """Checks settings of the advice that come from a command line.

    Raises:
        UsageError: If one is wrong.
    """
    try:
        return AdviceSettings(**values)
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None


def read_section(section: str, overrides: Sequence[str]) -> Any:
    """Reads the settings of one section, e.g. `advice.mode=argmax` of `advice`.

    Raises:
        UsageError: If a key is none of the section's, or a value is wrong.
    """
    known = [f"{section}.{name}" for name in SECTIONS[section].model_fields]
    values = {}
    for key, value in map(_read, overrides):
        if key not in known:
            hint = did_you_mean(key, known, f"there are {', '.join(known)}")
            raise UsageError(f"no setting {key!r} here; {hint}")
        values[key.partition(".")[2]] = value
    try:
        return SECTIONS[section](**values)
    except ValidationError as error:
        raise UsageError(f"{section}.{_first_error(error)}") from None


def _read(item: str) -> tuple[str, Any]:
    """Key and value of a `key=value` string."""
    key, sign, text = item.partition("=")
    if not sign:
        raise UsageError(f"{item!r} is not key=value; write e.g. total_timesteps=60000")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"the value of {key} cannot be read: {text!r}; quote it for your shell") from None


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

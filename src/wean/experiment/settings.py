"""The settings of one run: a preset's values and the user's overrides, checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
)

from wean.algorithms.rewards import RewardConfig
from wean.config import SETTINGS
from wean.data.demonstrations import task_of
from wean.errors import UsageError, did_you_mean, shown
from wean.evaluation.config import EvaluationConfig
from wean.experiment.presets import BUILD_DECISIONS, BUILD_TEXT, Method, find_method
from wean.files import parse_yaml
from wean.llm.address import ModelName
from wean.llm.options import ModelOptions
from wean.students.config import StudentConfig
from wean.tasks.registration import RECORDINGS, bare_name, check_named_in_file, recording_of, short_name
from wean.teachers.elicitation import AdviceConfig, PriorConfig

SCHEMA = "wean-config/2"
OLD_SCHEMA = "wean-config/1"

RENAMED = {
    "student.reach": "student.view_radius",
    "student.edges": "student.border_distances",
    "student.census": "student.object_set",
    "student.mirror": "student.reflection",
    "evaluation.acting=unlooped": "evaluation.acting=no_repeat",
    "total_timesteps": "gradient_steps",
    "epochs": "num_epochs",
    "renamed": "swap_entities",
    "astray": "inject_mistakes",
    "thinned": "drop_distractors",
}
"""Settings (and settings with a value) of earlier versions, by the name that they have now."""
_GONE = ("num_envs", "unnamed", "drop_subgoals", "conditions")  # settings of earlier versions without a successor


def _model_name(name: Any) -> ModelName | None:
    if name is not None and not isinstance(name, str):
        raise ValueError("the name of a model is a text")
    return None if name is None else ModelName(name)


def _model_text(name: ModelName | None) -> str | None:
    return None if name is None else str(name)


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, checked."""
    return ModelOptions(**options).model_dump(exclude_unset=True)


class RunConfig(BaseModel):
    """Everything that determines a run."""

    model_config = SETTINGS

    method: Annotated[InstanceOf[Method], BeforeValidator(find_method), PlainSerializer(lambda method: method.name)]
    """The preset."""
    task: str
    """Short name or registered id of the task."""
    model: Annotated[InstanceOf[ModelName] | None, BeforeValidator(_model_name), PlainSerializer(_model_text)]
    """The teacher's language model, without secrets of its address; None for a method without teacher."""
    options: Annotated[dict[str, Any], AfterValidator(_options)] = Field({})
    """Options of the language model, as fields of `ModelOptions`; they may change when a run goes on."""
    seed: int = Field(1, ge=0, lt=2**62)
    """Seeds the student's first weights, its actions and its episodes."""
    threads: int = Field(1, gt=0, le=1024)
    """PyTorch's threads; small students are no faster with more."""
    algorithm: Any
    """Settings of the learning algorithm, of its class `Config`."""
    student: StudentConfig = StudentConfig()
    """Settings of the student."""
    advice: AdviceConfig = AdviceConfig()
    """Settings of the teacher's advice."""
    prior: PriorConfig = PriorConfig()
    """Settings of the prior over the actions."""
    rewards: RewardConfig = RewardConfig()
    """Settings of the rewards that teach."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Settings of the evaluation."""

    def as_yaml(self) -> str:
        """The resolved settings as `config.yaml`."""
        return yaml.safe_dump({"schema": SCHEMA, **self.model_dump()}, sort_keys=False)

    def goes_on(self, begun: RunConfig) -> bool:
        """Whether a run that was begun with the other settings may go on with these."""
        return self.model_copy(update={"options": begun.options}) == begun


SECTIONS: dict[str, type[BaseModel]] = {
    "options": ModelOptions,
    "student": StudentConfig,
    "advice": AdviceConfig,
    "prior": PriorConfig,
    "rewards": RewardConfig,
    "evaluation": EvaluationConfig,
}
_TOP = ("threads",)
_OPEN = ("options.price.", "options.extra_body.")  # sections whose keys are not listed


def resolve(
    method: str | Method,
    task: str | None = None,
    model: str | None = None,
    seed: int = 1,
    overrides: Sequence[str] = (),
    **values: Any,
) -> RunConfig:
    """The settings of a run: a preset's values and the user's overrides.

    Keys of the algorithm stand alone (`total_timesteps=60000`, `teacher.until=0.4`); others carry their section
    (`student.hidden=64`, `advice.mode=argmax`, `evaluation.episodes=100`).

    Args:
        method: The preset, or its name.
        task: The task; by default that of the file of demonstrations, or the preset's first one.
        model: The teacher's model; the preset's by default, or what was recorded for the task.
        seed: The run's seed.
        overrides: `key=value` strings, as on the command line; values are read as YAML.
        **values: Overrides as values; of a section a mapping or its config object (`advice={"mode": "argmax"}`).

    Raises:
        UsageError: A name, key or value is wrong; the message names the nearest right one.
    """
    preset = find_method(method)
    _check_names(preset, task, model)
    own = {**dict(map(_read, overrides)), **_flat(values)}
    if task is None and preset.learner.needs.demonstrations and own.get("data"):
        task = _task_of(Path(str(own["data"])))
    task = task or preset.home
    short = bare_name(task)
    wanted = {**preset.settings, **preset.per_task.get(short, {}), **own}
    tree: dict[str, Any] = {"algorithm": {}}
    for key, value in wanted.items():
        _put(tree, key, value, preset.learner.Config)
    if "options" in tree and not preset.teaches:
        raise UsageError(f"{preset.name} asks no language model; leave its options out ({', '.join(tree['options'])})")
    config = _checked(
        {
            "method": preset,
            "task": task,
            "model": (model or preset.model or recording_of(task)) if preset.teaches else None,
            "seed": seed,
            **tree,
        }
    )
    _check_used(config, own)
    return config


def _check_names(preset: Method, task: str | None, model: str | None) -> None:
    for what, name in (("model", model), ("task", task)):
        if name is not None and not name.strip():
            raise UsageError(f"the name of the {what} is empty; give one, or leave it out")
    if model is not None and not preset.teaches:
        raise UsageError(f"{preset.name} asks no language model; leave the model out, or take a method that does")


def _task_of(data: Path) -> str | None:
    """The task of a file of demonstrations; None for a file that is not there, or damaged.

    Raises:
        UsageError: There is no such task.
    """
    task = task_of(data)
    if task is None:
        return None
    check_named_in_file(task, str(data))
    try:
        return short_name(task)
    except UsageError:
        raise UsageError(
            f"{data} is of {task}, which is no task here; give the function that makes it in Python "
            "(wean.train(..., make=...)), or write the file anew with the name of a task that is registered"
        ) from None


def _check_used(config: RunConfig, own: Mapping[str, Any]) -> None:
    """Checks that the method has a use for the user's settings; defaults of a config object do no harm.

    Raises:
        UsageError: It has none for one.
    """
    preset, learner = config.method, config.method.learner
    unused = _unused(preset, config.algorithm.guidance if preset.teaches else "")
    defaults = {f"{name}.{key}": one for name, section in SECTIONS.items() for key, one in _defaults(section)}
    defaults |= dict(_defaults(learner.Config))
    for key, value in own.items():
        if key.partition(".")[0] in unused and "." in key and value != defaults.get(key):
            raise UsageError(f"{preset.name} has no use for {key}; leave it out, or take a method that has")


def _unused(preset: Method, guidance: str) -> set[str]:
    """Sections of settings for which a method has no use."""
    if preset.build in (BUILD_TEXT, BUILD_DECISIONS):
        return {"teacher", "teacher_share", *SECTIONS}
    if not preset.teaches:
        return {"advice", "prior", "teacher", "teacher_share"}
    return {"advice" if guidance == "prior" else "prior"}


def setting_keys(method: str | Method) -> set[str]:
    """The dotted keys of all settings that a method has a use for."""
    preset = find_method(method)
    guidance = resolve(preset, model="recorded:doorkey").algorithm.guidance if preset.teaches else ""
    unused = _unused(preset, guidance)
    return {key for key in _keys(preset.learner.Config) if "." not in key or key.partition(".")[0] not in unused}


def _defaults(config_type: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(key, default) for key, (_, default) in describe_fields(config_type).items()]


def from_yaml(text: str) -> RunConfig:
    """Reads a run's `config.yaml`, also one of an earlier version.

    Raises:
        UsageError: A later version wrote it, or it was edited into something wrong.
    """
    try:
        values = parse_yaml(text)
        schema = values.pop("schema")
        if schema not in (SCHEMA, OLD_SCHEMA):
            raise UsageError(f"config.yaml is of schema {str(schema)[:80]}, not {SCHEMA}; use the wean that wrote it")
        if schema == OLD_SCHEMA:
            values = _upgraded(values)
        return _checked(values)
    except (ValueError, AttributeError, KeyError, TypeError):
        raise UsageError("config.yaml is damaged (it cannot be read); start a new run") from None


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version under their present names."""
    config_type = find_method(values["method"]).learner.Config
    known = _keys(config_type)
    tree: dict[str, Any] = {key: values.pop(key) for key in ("method", "task", "model", "seed")} | {"algorithm": {}}
    for key, value in _flat(values.pop("algorithm") | values).items():
        if key in _GONE and key not in known:
            continue
        now = RENAMED.get(f"{key}={value}", "").partition("=")[2] or value
        _put(tree, key if key in known else RENAMED.get(key, key), now, config_type)
    return tree


def _checked(values: dict[str, Any]) -> RunConfig:
    """Settings from nested values.

    Raises:
        UsageError: A value is wrong.
    """
    try:
        algorithm = find_method(values["method"]).learner.Config(**values["algorithm"])
        return RunConfig(**{**values, "algorithm": algorithm})
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None


def command_line(config: RunConfig, out: str) -> str:
    """The `wean train` command that makes a run with these settings in the folder `out`."""
    words = ["wean", "train", config.method.name, "--task", config.task, "--seed", str(config.seed), "--out", out]
    usual = config.method.model or RECORDINGS.get(config.task)
    if config.model not in (None, usual):
        words += ["--model", str(config.model)]
    for key, value in changed(config).items():
        words.append(f"{key}={json.dumps(value)}" if not isinstance(value, str) else f"{key}={value}")
    return shlex.join(words)


def python_call(config: RunConfig, out: str, names: Sequence[str]) -> str:
    """The call of `wean.train` that makes a run with these settings in the folder `out`.

    `names` are arguments that the caller made in Python, such as `make`: they stand there by their names alone.
    """
    task = f"make=make, # {config.task}" if "make" in names else f"make={config.task!r},"
    given = [f"{name}={name}," for name in names if name != "make"]
    if config.model and "teacher" not in names:
        given.append(f"teacher={config.model!r},")
    settings = f"**{changed(config)!r}," if changed(config) else ""
    lines = [f"wean.train({config.method.name!r},", task, *given, settings, f"seed={config.seed}, out={out!r})"]
    return "\n    ".join(line for line in lines if line)


def changed(config: RunConfig) -> dict[str, Any]:
    """The settings by dotted key that differ from the preset's; task, model and seed aside."""
    wanted, given = (
        _flat(one.model_dump(include={*SECTIONS, *_TOP}) | one.algorithm.model_dump())
        for one in (config, resolve(config.method, config.task, config.model, seed=config.seed))
    )
    return {key: value for key, value in wanted.items() if key not in given or value != given[key]}


def advice_settings(**values: Any) -> AdviceConfig:
    """Checks settings of the advice that come from a command line.

    Raises:
        UsageError: If one is wrong.
    """
    try:
        return AdviceConfig(**values)
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
        _check(key, value, known)
        values[key.partition(".")[2]] = value
    try:
        return SECTIONS[section](**values)
    except ValidationError as error:
        raise UsageError(f"{section}.{_first_error(error)}") from None


def _read(item: str) -> tuple[str, Any]:
    """Key and value of a `key=value` string."""
    key, sign, text = item.partition("=")
    if not sign:
        raise UsageError(f"{shown(item)} is not key=value; write e.g. total_timesteps=60000")
    try:
        return key, parse_yaml(text)
    except ValueError as error:
        raise UsageError(
            f"the value of {key[:80]} cannot be read ({error}): {shown(text)}; quote it for your shell"
        ) from None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; config objects count as mappings, and paths are texts."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, BaseModel):
            value = value.model_dump()
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value) if isinstance(value, PurePath) else value
    return found


def _put(tree: dict[str, Any], key: str, value: Any, config_type: type[BaseModel]) -> None:
    """Puts a value at a dotted key, after checking that the key exists."""
    _check(key, value, _keys(config_type))
    path = key.split(".")
    if path[0] not in SECTIONS and key not in _TOP:
        path = ["algorithm", *path]
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def _check(key: str, value: Any, known: Sequence[str]) -> None:
    """Checks that a key exists; the error for one of an earlier version gives its present name."""
    for old in (f"{key}={value}", key):
        if RENAMED.get(old, "").partition("=")[0] in known and (old != key or key not in known):
            raise UsageError(f"{old} is now called {RENAMED[old]}")
    if key not in known and not key.startswith(_OPEN):
        hint = did_you_mean(key, known, f"there are {', '.join(known)}")
        raise UsageError(f"unknown key {shown(key)}; {hint}")


def _keys(config_type: type[BaseModel]) -> list[str]:
    """Every dotted key of a run with this algorithm."""
    of_sections = [f"{section}.{name}" for section, known in SECTIONS.items() for name in describe_fields(known)]
    return [*describe_fields(config_type), *_TOP, *of_sections]


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, not {shown(first['input'])}"


def describe_fields(config_type: type[BaseModel]) -> dict[str, tuple[str, Any]]:
    """Every dotted key of a configuration with its one-line description and its default."""
    found: dict[str, tuple[str, Any]] = {}
    for name, field in config_type.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= {f"{name}.{key}": value for key, value in describe_fields(field.annotation).items()}
        else:
            found[name] = (field.description or "", field.default)
    return found

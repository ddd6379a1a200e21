"""Settings: values and strings mean the same, old names are answered with the new ones, old files are read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from wean.errors import UsageError
from wean.evaluation.config import EvaluationConfig
from wean.experiment.presets import METHODS, Method
from wean.experiment.settings import command_line, from_yaml, resolve
from wean.teachers.elicitation import AdviceConfig


def test_values_and_strings_mean_the_same() -> None:
    as_text = ["gamma=0.9", "teacher.until=0.25", "advice.mode=argmax", "evaluation.episodes=7"]
    by_value = {"gamma": 0.9, "teacher": {"until": 0.25}, "advice": {"mode": "argmax"}, "evaluation": {"episodes": 7}}
    assert resolve("llm4teach", overrides=as_text) == resolve("llm4teach", **by_value)
    objects = {"advice": AdviceConfig(mode="argmax"), "evaluation.episodes": 7, "teacher.until": 0.25}
    assert resolve("llm4teach", gamma=0.9, **objects) == resolve("llm4teach", overrides=as_text)
    assert resolve("cql", data=Path("walks.parquet")).algorithm.data == "walks.parquet"
    assert resolve("ppo", evaluation=EvaluationConfig(episodes=3)).evaluation == EvaluationConfig(episodes=3)


@pytest.mark.parametrize("method", METHODS)
def test_every_preset_is_read_back_from_its_file_and_its_command(method: str) -> None:
    config = resolve(method, seed=4, threads=2)
    assert from_yaml(config.as_yaml()) == config
    assert command_line(config, "out") == f"wean train {method} --task {config.task} --seed 4 --out out threads=2"


def test_the_command_names_a_text_students_model() -> None:
    assert command_line(resolve("subgoals", overrides=["model=hf:y"]), "out").endswith("--out out model=hf:y")


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("ppo", "student.reach=3", "student.reach is now called student.view_radius"),
        ("cql", "total_timesteps=3", "total_timesteps is now called gradient_steps"),
        ("subgoals", "epochs=3", "epochs is now called num_epochs"),
        ("subgoals", "astray=0.1", "astray is now called inject_mistakes"),
        ("ppo", "evaluation.acting=unlooped", "evaluation.acting=unlooped is now called evaluation.acting=no_repeat"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(method: str, old: str, new: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(method, overrides=[old])
    assert str(error.value) == new


def test_settings_of_an_earlier_version_are_read() -> None:
    config = resolve(
        "cql", seed=2, data="walks.parquet", student={"view_radius": 3}, evaluation={"acting": "no_repeat"}
    )
    values = yaml.safe_load(config.as_yaml())
    values["schema"] = "wean-config/1"
    values["algorithm"]["total_timesteps"] = values["algorithm"].pop("gradient_steps")
    values["algorithm"]["num_envs"] = 1
    values["student"]["reach"] = values["student"].pop("view_radius")
    values["evaluation"]["acting"] = "unlooped"
    assert from_yaml(yaml.safe_dump(values)) == config
    with pytest.raises(UsageError, match=r"of schema wean-config/9, not wean-config/2; use the wean that wrote it"):
        from_yaml(yaml.safe_dump({**values, "schema": "wean-config/9"}))
    with pytest.raises(UsageError, match="is damaged"):
        from_yaml("- 3")


def test_a_method_of_ones_own() -> None:
    mine = Method("mine", "PPO, and short", "me", METHODS["ppo"].algorithm, {"total_timesteps": 99}, teaches=False)
    config = resolve(mine, gamma=0.5)
    assert (config.method, config.algorithm.total_timesteps, config.model) == (mine, 99, None)
    assert yaml.safe_load(config.as_yaml())["method"] == "mine"


@pytest.mark.parametrize(
    "override",
    [
        "threads=100000", "student.hidden=1000000000", "num_steps=100000000", "num_envs=1000000", "gamma=.nan",
        "learning_rate=.inf", "num_envs=" + "9" * 5_000, "gamma=" + "[" * 10_000, "clip_coef=1e300", "gamma=&a [*a]",
        "student.hidden=!!python/object:os.system", "seed=1", "gamma=2001-99-99", "=3", "gamma=\x07", "a" * 300,
    ],
)  # fmt: skip
def test_what_goes_beyond_reason_is_refused_in_one_line(override: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve("ppo", overrides=[override])
    told = str(raised.value)
    assert len(told) < 300 or "there are" in told
    assert "\n" not in told


def test_a_seed_fits_into_64_bits() -> None:
    assert resolve("ppo", seed=2**61).seed == 2**61
    with pytest.raises(UsageError, match="seed: input should be less than"):
        resolve("ppo", seed=2**64)


@pytest.mark.parametrize(
    "text", ["", "schema: [", "schema: wean-config/2", "- 1", "a: &a [*a]", "3", "\x00", "{schema: 1" + "0" * 5_000]
)
def test_damaged_settings_of_a_run_are_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^config.yaml is "):
        from_yaml(text)


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("ppo", {"overrides": ["advice.mode=argmax"]}, "ppo has no use for advice.mode; leave it out"),
        ("ppo", {"overrides": ["teacher.until=0.3"]}, "ppo has no use for teacher.until"),
        ("dqn", {"overrides": ["prior.k=3"]}, "dqn has no use for prior.k"),
        ("llm4teach", {"overrides": ["prior.k=3"]}, "llm4teach has no use for prior.k"),
        ("dqn-prior", {"overrides": ["advice.mode=argmax"]}, "dqn-prior has no use for advice.mode"),
        ("subgoals", {"overrides": ["student.hidden=3"]}, "subgoals has no use for student.hidden"),
        ("subgoals", {"overrides": ["evaluation.episodes=3"]}, "subgoals has no use for evaluation.episodes"),
        ("ppo", {"model": "recorded:doorkey"}, "ppo asks no language model; leave the model out"),
        ("llm4teach", {"model": ""}, "the name of the"),
        ("llm4teach", {"task": ""}, "the name of the"),
        ("ppo", {"seed": 2**64}, "seed: input should be less than"),
    ],
)
def test_what_cannot_be_used_is_refused(method: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        resolve(method, **given)


def test_defaults_of_a_config_object_do_no_harm() -> None:
    assert resolve("ppo", advice=AdviceConfig()) == resolve("ppo")


def test_the_teacher_of_a_task_is_what_was_recorded_for_it() -> None:
    found = {task: resolve("llm4teach", task).model for task in ("KeyInBox", "KeyCorridorS3R3", "MiniGrid-Unlock-v0")}
    assert found == {
        "KeyInBox": "recorded:doorkey",
        "KeyCorridorS3R3": "recorded:minigrid",
        "MiniGrid-Unlock-v0": "recorded:minigrid",
    }
    assert resolve("dqn-prior", "FrozenLake").model == "recorded:frozenlake"
    assert resolve("llm4teach", "KitchenThree", "hf:x").model == "hf:x"
    for task in ("KitchenThree", "FrozenLakeDry", "CartPole-v1"):
        with pytest.raises(UsageError, match=f"no recorded answers about {task} come with wean; name who is asked"):
            resolve("llm4teach", task)


def test_options_of_the_model_are_settings() -> None:
    given = ("options.max_tokens=4000", "options.extra_body.reasoning_effort=low", "options.temperature=null")
    config = resolve("llm4teach", model="openai:gpt-5", overrides=given)
    assert config.options == {"max_tokens": 4000, "extra_body": {"reasoning_effort": "low"}, "temperature": None}
    assert resolve("llm4teach", model="openai:gpt-5", options=config.options) == config
    assert from_yaml(config.as_yaml()) == config
    assert "options.max_tokens=4000" in command_line(config, "out")
    assert config.goes_on(resolve("llm4teach", model="openai:gpt-5"))
    assert not config.goes_on(resolve("llm4teach", model="openai:gpt-4"))
    with pytest.raises(UsageError, match="ppo asks no language model"):
        resolve("ppo", overrides=("options.timeout=3",))
    with pytest.raises(UsageError, match=r"options\.timeout"):
        resolve("llm4teach", overrides=("options.timeout=0",))

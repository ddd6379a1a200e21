"""The cases of same_numbers.py: what is run in both checkouts, and which files are compared.

Written in the words of the old house. Commands run in one folder, so that a case can use what an earlier one left
there; `../shared` holds the files of small_world.py. `ENDPOINT` is a model behind a local address.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Commands whose results are compared.

    Attributes:
        name: Its name.
        commands: Command lines of wean; what they print as JSON is compared.
        files: Patterns of files that are compared, too.
        after: Cases that must have run before.
        needs: Modules that must be there, or `java`.
        unordered: The order of lines in files says nothing: it is by time.
        killed: Each command is a training that is stopped after its first checkpoint, and resumed.
    """

    name: str
    commands: tuple[str, ...]
    files: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    killed: bool = False
    unordered: bool = False


_RUN = (
    *("summary.json", "metrics.jsonl", "teacher.json", "judge.json", "episodes.json", "student/config.json"),
    *("student/model.safetensors", "checkpoints/*/state.safetensors"),
)
_JUDGED = "evaluation.curve_points=3 evaluation.curve_episodes=2 evaluation.episodes=4 evaluation.recorded_episodes=1"
_FEW = f"total_timesteps=1024 num_envs=8 num_steps=16 student.hidden=16 {_JUDGED}"
_LABELS = f"total_timesteps=1024 num_envs=8 student.hidden=16 updates=60 {_JUDGED}"
_VALUES = f"total_timesteps=400 student.hidden=16 learning_starts=40 student.encoder=../shared/encoder {_JUDGED}"
_TABLE = f"total_timesteps=600 learning_starts=40 {_JUDGED}"
_FILE = f"total_timesteps=300 student.hidden=16 {_JUDGED}"
_WORDS = (
    "hidden=48 layers=2 heads=2 vocabulary=400 context=512 token_budget=600 epochs=6 measurements=3 dev_share=0.2 "
    "data=../shared/demos.jsonl annotations=../shared/subgoals.jsonl"
)
_COIN = "--task TextWorldCoin --split train --variations 2 --max-moves 8"
_ONE_COIN = _COIN.replace("--variations 2", "--variations 1")
_HOUSE = "--task ScienceWorld --split dev --variations 1 --only find-animal,boil --max-moves 12"


def _training(
    name: str, words: str, after: tuple[str, ...] = (), needs: tuple[str, ...] = (), kill: bool = False
) -> list[Case]:
    """A training, and if wanted the same one stopped midway and resumed."""
    found = []
    for out, killed in ((name, False), *([(f"{name}-killed", True)] if kill else [])):
        waits = (*after, f"train-{name}") if killed else after
        files = tuple(f"{out}/{file}" for file in _RUN)
        verb = "kill" if killed else "train"
        found.append(Case(f"{verb}-{name}", (f"train {words} --seed 3 --out {out}",), files, waits, needs, killed))
    return found


_TRAININGS = [
    *_training("llm4teach", f"llm4teach {_FEW}", kill=True),
    *_training("llm4teach-colours", f"llm4teach --task ColoredDoorKeyRandom {_FEW} num_minibatches=2"),
    *_training("llm4teach-memory", f"llm4teach {_FEW} student.recurrent=true teacher.kind=matching"),
    *_training("llm4teach-far", f"llm4teach --task TwoDoor {_FEW} total_timesteps=512"),
    *_training("llm4teach-asked", f"llm4teach --model ENDPOINT {_FEW} total_timesteps=512", needs=("openai",)),
    *_training(
        "llm4teach-seldom", f"llm4teach {_FEW} advice.when=uncertain advice.max_questions=40 advice.memory=false"
    ),
    *_training("kickstarting", f"kickstarting {_FEW}"),
    *_training("ppo", f"ppo {_FEW}"),
    *_training("ppo-kitchen", f"ppo --task KitchenRandom {_FEW} total_timesteps=512"),
    *_training("ppo-prior", f"ppo-prior {_FEW} total_timesteps=512", kill=True),
    *_training("beacons", f"beacons --task MultiRoomN2S4 {_FEW} student.goal=object", kill=True),
    *_training("lmgt", f"lmgt {_FEW}"),
    *_training("bc", f"bc {_LABELS}"),
    *_training("dagger", f"dagger {_LABELS} rounds=6", kill=True),
    *_training("when2ask", f"when2ask {_FEW} advice.mode=sampled", kill=True),
    *_training("option-ppo", f"option-ppo {_FEW}"),
    *_training("dqn", f"dqn --task FrozenLake4x4 {_TABLE}"),
    *_training("dqn-text", f"dqn {_VALUES}", needs=("transformers",)),
    *_training("dqn-prior", f"dqn-prior --task FrozenLake4x4 {_TABLE} n_step=2 prioritized=0.6 prior.k=3", kill=True),
    *_training("dqn-prior-text", f"dqn-prior {_VALUES} temperature=0.1 backup=kl", needs=("transformers",)),
    *_training("cql", f"cql --task FrozenLake4x4 {_FILE} student.values=table data=lake.parquet", ("demos-expert",)),
    *_training("cql-prior", f"cql-prior --task FrozenLake4x4 {_FILE} student.values=table data=lake.parquet",
               ("demos-expert",), kill=True),
    *_training("cql-prior-text", f"cql-prior {_FILE} data=kitchen.parquet student.encoder=../shared/encoder",
               ("demos-mixed",), ("transformers",)),
    *_training("offline-bc", f"offline-bc --task FrozenLake4x4 {_FILE} student.values=table data=lake.parquet "
               "share=0.5", ("demos-expert",)),
    *_training("offline-bc-text", f"offline-bc {_FILE} data=kitchen.parquet student.encoder=../shared/encoder",
               ("demos-mixed",), ("transformers",)),
    *_training("subgoals", f"subgoals {_WORDS} epochs=40", needs=("transformers",), kill=True),
    *_training("subgoals-flat", f"subgoals-flat {_WORDS}", needs=("transformers",)),
    *_training("subgoals-step", f"subgoals-step {_WORDS}", needs=("transformers",)),
    *_training("subgoals-lora", f"subgoals {_WORDS} model=../shared/llama lora_rank=4 context=1024",
               needs=("transformers", "peft")),
    *_training("subgoals-coin", f"subgoals --task TextWorldCoin {_WORDS} context=1024 dev_share=0 epochs=20 "
               "data=paths.parquet annotations=paths.subgoals.jsonl",
               ("demos-paths", "annotate-asked"), ("transformers", "textworld")),
]  # fmt: skip

_DEMOS = [
    Case("demos-expert", ("demos FrozenLake4x4 --epsilon 0.5 --episodes 20 --out lake.parquet --json",),
         ("lake.parquet",)),
    Case("demos-mixed", ("demos KitchenRandom --epsilon 0.6 --episodes 12 --successful 0.75 --out kitchen.parquet "
                         "--json",), ("kitchen.parquet",)),
    Case("demos-random", ("demos FrozenLake --policy random --episodes 10 --seed 7 --out random.parquet --json",),
         ("random.parquet",)),
    Case("demos-teacher", ("demos SimpleDoorKey --policy teacher --episodes 5 --out teacher.parquet --json",),
         ("teacher.parquet",)),
    Case("demos-run", ("demos SimpleDoorKey --policy llm4teach --episodes 3 --workers 2 --out run.parquet --json",),
         ("run.parquet",), ("train-llm4teach",)),
    Case("demos-paths", ("demos TextWorldCoin --trajectories --per-task 3 --out paths.parquet --json",),
         ("paths.parquet",), needs=("textworld",)),
    Case("demos-scienceworld", ("demos scienceworld --split dev --per-task 1 --tasks find-animal --out house.parquet "
                                "--json",), ("house.parquet",), needs=("scienceworld", "java")),
    Case("demos-shorter", ("demos scienceworld --shorten house.parquet --annotations house.subgoals.jsonl --out "
                           "short.parquet --json",), ("short.parquet", "short.subgoals.jsonl"),
         ("demos-scienceworld", "annotate-house"), ("scienceworld", "java")),
    Case("annotate-house", ("annotate house.parquet --examples scienceworld --budget 0 --out house.subgoals.jsonl "
                            "--json",), ("house.subgoals.jsonl",), ("demos-scienceworld",)),
    Case("annotate-shipped", ("annotate scienceworld --out shipped.subgoals.jsonl --json",),
         ("shipped.subgoals.jsonl",)),
    Case("annotate-all", ("annotate scienceworld --ask-all --out all.subgoals.jsonl --json",), ("all.subgoals.jsonl",)),
    Case("annotate-asked", ("annotate paths.parquet --model scripted:small_world:halves --per-task 2 --out "
                            "paths.subgoals.jsonl --json",), ("paths.subgoals.jsonl",), ("demos-paths",)),
    Case("lessons", ("lessons ../shared/demos.jsonl --annotations ../shared/subgoals.jsonl --out lessons.jsonl",
                     "lessons ../shared/demos.jsonl --flat --chat --out flat.jsonl",
                     "lessons scienceworld-dev --actions 20 --out shipped.jsonl"),
         ("lessons.jsonl", "flat.jsonl", "shipped.jsonl")),
]  # fmt: skip


def _evaluations(name: str, *words: str, after: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Case:
    return Case(f"eval-{name}", tuple(f"eval {one} --json" for one in words), (), after, needs)


def _in_words(name: str, *whos: str, after: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Case:
    """Evaluations of a task in words, with their episodes."""
    outs = [f"words-{name}-{n}" for n in range(len(whos))]
    commands = tuple(f"eval {who} --out {out} --json" for who, out in zip(whos, outs, strict=True))
    return Case(f"eval-words-{name}", commands, tuple(f"{out}/episodes.jsonl" for out in outs), after, needs)


_EVALUATIONS = [
    _evaluations("random", "random --task LavaDoorKey --episodes 6", "random --task FrozenLakeRandom --episodes 6"),
    _evaluations("random-skills", "random-skills --task RandomBoxKey --episodes 6"),
    _evaluations("teacher", "teacher --task ColoredDoorKey --episodes 6",
                 "teacher --task ColoredDoorKey --episodes 6 --mode sampled",
                 "teacher --task LavaDoorKey --episodes 6 --mode argmax",
                 "teacher --task KeyCorridorS3R3 --model recorded:minigrid --episodes 3"),
    _evaluations("samples", "teacher --task SimpleDoorKey --model ENDPOINT --elicitation samples --episodes 4",
                 needs=("openai",)),
    _evaluations("scored", "teacher --task SimpleDoorKey --model hf:../shared/llama --elicitation logprobs "
                 "--episodes 2", "prior --task FrozenLake4x4 --model hf:../shared/llama --elicitation logprobs "
                 "--episodes 2", needs=("transformers",)),
    _evaluations("expert", "expert --task KitchenThree --episodes 5", "expert --task FrozenLake --episodes 5",
                 "expert --task SimpleDoorKey --episodes 5"),
    _evaluations("explorer", "explorer --task TwoDoor --episodes 6"),
    _evaluations("prior", "prior --task KitchenRandom --model recorded:kitchen --support --episodes 6",
                 "prior --task FrozenLake --model recorded:frozenlake --support --temperature 2 --episodes 6"),
    _evaluations("llm-agent", "llm-agent --task ColoredDoorKey --episodes 4", "llm-agent --task KeyInBox --episodes 4"),
    _evaluations("run", *(f"llm4teach --episodes 6 --acting {acting}" for acting in ("sampled", "greedy", "unlooped")),
                 after=("train-llm4teach",)),
    _evaluations("run-recurrent", "llm4teach-memory --episodes 6", after=("train-llm4teach-memory",)),
    _evaluations("run-values", *(f"dqn-prior --episodes 6 --acting {acting}" for acting in ("sampled", "greedy")),
                 after=("train-dqn-prior",)),
    _evaluations("run-asking", "when2ask --episodes 4", "beacons --episodes 2",
                 after=("train-when2ask", "train-beacons")),
    _evaluations("run-options", "option-ppo --episodes 4", after=("train-option-ppo",)),
    _in_words("games", f"random {_COIN}", f"llm-agent {_COIN} --model scripted:small_world:any_command",
              f"oracle {_COIN} --data paths.parquet", after=("demos-paths",), needs=("textworld",)),
    _in_words("students", f"subgoals-coin {_ONE_COIN}", f"subgoals-coin {_ONE_COIN} --with subgoals-coin",
              f"subgoals-coin {_ONE_COIN} --goals oracle --data paths.parquet --annotations paths.subgoals.jsonl",
              f"subgoals-coin {_ONE_COIN} --goals random --data paths.parquet --annotations paths.subgoals.jsonl",
              after=("train-subgoals-coin",), needs=("textworld", "transformers")),
    _in_words("house", f"random {_HOUSE}", f"oracle {_HOUSE} --data scienceworld-dev",
              f"llm-agent {_HOUSE} --model scripted:small_world:any_command", needs=("scienceworld", "java")),
    _in_words("house-students", f"subgoals {_HOUSE}", f"subgoals-flat {_HOUSE}",
              after=("train-subgoals", "train-subgoals-flat"), needs=("scienceworld", "java", "transformers")),
]  # fmt: skip

_OTHERS = [
    Case("ask", ("ask ColoredDoorKey --episodes 5 --json", "ask KeyInBox --episodes 5 --json")),
    Case("ask-live", ("ask LavaDoorKey --model ENDPOINT --episodes 5 --json",), needs=("openai",)),
    Case("compare", ("compare llm4teach kickstarting ppo dqn dqn-prior --json",), (),
         tuple(f"train-{name}" for name in ("llm4teach", "kickstarting", "ppo", "dqn", "dqn-prior"))),
    Case("ledger", (
        "ask SimpleDoorKey --model ENDPOINT --episodes 5 --json",
        "ask SimpleDoorKey --model ENDPOINT --elicitation samples --episodes 5 --json",
        "ledger stats --json",
        "ledger export answers.jsonl --json",
        "ledger import answers.jsonl --ledger other.sqlite --json",
        "ledger export again.jsonl --ledger other.sqlite --json",
        "ask SimpleDoorKey --model recorded:answers.jsonl --episodes 5 --json",
    ), ("answers.jsonl", "again.jsonl"), ("ask-live", "train-llm4teach-asked", "eval-samples"), ("openai",),
         unordered=True),
]  # fmt: skip

CASES = (*_DEMOS, *_TRAININGS, *_EVALUATIONS, *_OTHERS)

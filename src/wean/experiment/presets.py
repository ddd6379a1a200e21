"""The methods by name: the papers and their baselines, each with its vetted settings.

Nothing is decided here: a preset is a set of values for the algorithms' configurations, and the number it must reach.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wean.errors import UsageError, did_you_mean
from wean.extras import entry_points

if TYPE_CHECKING:
    from wean.algorithms.algorithm import Algorithm

PPO = "wean.algorithms.ppo:PPO"
IMITATION = "wean.algorithms.imitation:Imitation"
WHEN2ASK = "wean.algorithms.when2ask:When2Ask"
DQN = "wean.algorithms.dqn:DQN"
CQL = "wean.algorithms.cql:CQL"
CLONING = "wean.algorithms.offline:Cloning"
FINETUNING = "wean.algorithms.finetune:Finetuning"
DISTILLATION = "wean.algorithms.distill:Distillation"
BUILD_TEXT = "wean.experiment.build_text:build"
BUILD_DECISIONS = "wean.experiment.build_decisions:build"


@dataclass(frozen=True)
class Method:
    """One preset.

    Example:
        >>> short = Method("short-ppo", "Little PPO", "our own", "wean.algorithms.ppo:PPO", {"total_timesteps": 1_000})
        >>> short.teaches
        True

    Attributes:
        name: What the command line calls it.
        title: One line that says what it is.
        source: The paper.
        algorithm: The learning rule that it configures: a class, or `module:Class`, imported when it is needed.
        settings: Dotted keys and values, as on the command line.
        per_task: Further ones for a task, by short name.
        teaches: Whether it asks a teacher.
        model: The teacher's language model unless the user names one; by default what was recorded for the task.
        home: The task unless the user names one.
        expected: For each task, the success (lower end of the 95 % interval, seeds pooled) that it must reach.
        build: The function, or `module:function`, that builds the components of its runs.
    """

    name: str
    title: str
    source: str
    algorithm: str | type[Algorithm]
    settings: Mapping[str, Any] = field(default_factory=dict)
    per_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    teaches: bool = True
    model: str | None = None
    home: str = "SimpleDoorKey"
    expected: Mapping[str, float] = field(default_factory=dict)
    build: str | Callable[..., Any] = "wean.experiment.build:build"

    @property
    def learner(self) -> type[Algorithm]:
        """The learning rule's class."""
        found: type[Algorithm] = _imported(self.algorithm)
        return found

    @property
    def builder(self) -> Callable[..., Any]:
        """The function that builds the components of its runs."""
        found: Callable[..., Any] = _imported(self.build)
        return found


def _imported(named: Any) -> Any:
    return pkgutil.resolve_name(named) if isinstance(named, str) else named


_PPO = {"total_timesteps": 200_000, "num_envs": 64, "num_steps": 16, "num_minibatches": 8, "ent_coef": 0.001}
# Where the reward has something to teach that the teacher does not know: more steps, and larger batches, whose
# advantages are less noisy once the teacher is gone.
_LONG = {"total_timesteps": 400_000, "num_steps": 32}
_LONGER = {"total_timesteps": 600_000, "num_steps": 32}
# A room that fills a large map: how far off its edges are says where the middle is, and there is less to look at.
_FAR = {**_LONGER, "student.view_radius": 6, "student.border_distances": True}
# Which key fits is a matter of colours: more to learn, so a wider student that knows what there is and for which left
# and right are one, and a gentler PPO, or what the teacher taught is lost when its weight is gone.
_FITTING = {
    **_LONG,
    "student.hidden": 192,
    "student.object_set": True,
    "student.reflection": True,
    "gamma": 0.98,
    "num_minibatches": 4,
    "update_epochs": 8,
    "learning_rate": 7e-4,
}
# From 10, as in the paper's release, to zero: at the end of the run where the teacher is right, after 150,000 to
# 200,000 steps where it is not.
_ANNEALED = {"teacher.kind": "linear", "teacher.start": 10.0, "teacher.end": 0.0, "teacher.until": 1.0}
# As many labels as llm4teach gets while its teacher's weight lasts: one a step.
_LABELS = {task: {"total_timesteps": 200_000} for task in ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")}
# What a room's students get, with a teacher or without.
_ROOMS: dict[str, dict[str, Any]] = {
    "ColoredDoorKey": _LONG,
    "LavaDoorKey": _LONGER,
    "RandomBoxKey": {"total_timesteps": 300_000},
    "ColoredDoorKeyRandom": _FITTING,
    "TwoDoor": _FAR,
}
_UNTIL = {"ColoredDoorKey": 1 / 2, "LavaDoorKey": 1 / 3, "ColoredDoorKeyRandom": 0.6, "TwoDoor": 1 / 4}
_GUIDED = {task: {**settings, "teacher.until": _UNTIL.get(task, 1.0)} for task, settings in _ROOMS.items()}
# A student that knows nothing stays where there is nothing to learn: the teacher plays along at first.
_GUIDED["ColoredDoorKeyRandom"] |= {"teacher_share.start": 0.9, "teacher_share.until": 0.3}

# MiniGrid's own tasks: the reward comes late, and only after a chain of steps. Larger batches, more exploration, and a
# horizon of fifty steps instead of a hundred, so that what brings a sub-goal is told from what came before it.
_CHAIN = {"num_steps": 32, "gamma": 0.98, "ent_coef": 0.02}
_STOCK: dict[str, dict[str, Any]] = {
    "KeyCorridorS3R3": {**_CHAIN, "total_timesteps": 500_000},
    "MultiRoomN2S4": {"total_timesteps": 200_000},
    "ObstructedMaze1Dlh": {**_CHAIN, "total_timesteps": 500_000},
}
# A question costs as much as five or six steps: few are asked, and seldom too late.
_ASKING = {
    "total_timesteps": 150_000,
    "num_envs": 64,
    "num_steps": 32,
    "num_minibatches": 8,
    "cost.first": 0.05,
    "cost.change": 0.05,
    "cost.repeat": 0.05,
    "advice.mode": "argmax",
    "student.hidden": 64,
    "evaluation.acting": "greedy",
    "evaluation.episodes": 1000,
}
# A box may be empty: asking when all is seen spares a question, for which many steps must be worth spending.
_ASKING_LESS = dict.fromkeys(("cost.first", "cost.change", "cost.repeat"), 0.3)
# A key that is dropped in front of the door bars the way for good: who may wait need not ask about it at every step. A
# low price is enough for that, and does not tempt it to wander elsewhere.
_ASKING_OR_WAITING = {"waits": True, **dict.fromkeys(("cost.first", "cost.change", "cost.repeat"), 0.02)}
# Plain PPO gets ten times as many steps where it finds nothing in as few.
_STOCK_ALONE = {**_STOCK, "KeyCorridorS3R3": {**_CHAIN, "total_timesteps": 5_000_000}}
_STOCK_GUIDED = {task: {**settings, "ent_coef": 0.001, "teacher.until": 1 / 2} for task, settings in _STOCK.items()}
# The teacher's plans serve the rewards alone: no teacher's loss.
_UNGUIDED = {"teacher.kind": "constant", "teacher.start": 0.0, "ent_coef": 0.01}

_KITCHENS = ("Kitchen", "KitchenTomato", "KitchenThree", "KitchenRandom", "KitchenRandomTomato", "KitchenRandomThree")
_LAKES = ("FrozenLake", "FrozenLakeDry", "FrozenLakeRandom", "FrozenLake4x4", "FrozenLake4x4Dry")
# Values are judged greedily, and early: what a prior saves is steps at the beginning.
_VALUED = {
    "student.hidden": 64,
    "evaluation.acting": "greedy",
    "evaluation.curve_points": 30,
    "evaluation.curve_spacing": "geometric",
}
_DQN = {**_VALUED, "total_timesteps": 40_000, "learning_starts": 200, "n_step": 3}
# One value for every cell and move. On the ice a value is the mean of what luck brings: large batches and small steps.
# The goal alone is rewarded, a hundred steps away: little discount, and one step, since n of them see n slides. With a
# gradient step every 8 steps instead, both learners need two to three times as many (see docs).
_TABLE = {
    "student.values": "table",
    "total_timesteps": 100_000,
    "n_step": 1,
    "gamma": 0.995,
    "learning_rate": 5e-4,
    "batch_size": 256,
    "train_frequency": 2,
    "target_network_frequency": 100,
}
_DQN_TASKS = {task: _TABLE for task in _LAKES if task != "FrozenLakeRandom"}
# Each game of ALFWorld's unseen rooms is played once.
_HOUSEHOLDS: dict[str, dict[str, Any]] = {
    "ALFWorldPickSkills": {"evaluation.episodes": 24},
    "ALFWorldExamineSkills": {"evaluation.episodes": 18, "evaluation.curve_episodes": 13},
}
_PLANNED = {task: {**settings, "prior.elicitation": "plans"} for task, settings in _HOUSEHOLDS.items()}
_DQN_HOUSEHOLDS = {task: {**settings, "total_timesteps": 20_000} for task, settings in _HOUSEHOLDS.items()}
_DQN_PLANNED = {task: {**_DQN_HOUSEHOLDS[task], **settings} for task, settings in _PLANNED.items()}
# Of 300 episodes of a kitchen; longer runs learn the file's failures, see benchmarks/results/baseline_grid.md.
_OFFLINE = {**_VALUED, "gradient_steps": 1000, "evaluation.curve_points": 12}
# With cql_coef 1 and ten times as many steps the values overfit, and greedy success falls to 0 (the same grid).
_CQL = {**_OFFLINE, "gradient_steps": 300, "cql_coef": 5.0}
# With gamma = 0.99 PPO prefers to chop and spill the tomato for ever, see docs/tasks/kitchen.md.
_PPO_KITCHEN = {
    "total_timesteps": 300_000,
    "update_epochs": 10,
    "gamma": 0.97,
    "ent_coef": 0.01,
    "evaluation.acting": "greedy",
    "evaluation.curve_points": 30,
    "evaluation.curve_spacing": "geometric",
}
_PPO_KITCHENS = dict.fromkeys(_KITCHENS, _PPO_KITCHEN)

METHODS = {
    method.name: method
    for method in (
        Method(
            "llm4teach",
            "PPO with a language model's soft advice, annealed to zero",
            "LLM4Teach, 2311.13373",
            PPO,
            {**_PPO, **_ANNEALED},
            {**_GUIDED, **_STOCK_GUIDED},
            expected={"SimpleDoorKey": 0.97, "ColoredDoorKey": 0.95, "LavaDoorKey": 0.93},
        ),
        Method(
            "kickstarting",
            "PPO kickstarted by one drawn plan a step, with a weight that starts at 1",
            "Kickstarting deep reinforcement learning, 1803.03835",
            PPO,
            {**_PPO, **_ANNEALED, "teacher.start": 1.0, "advice.mode": "sampled"},
            _GUIDED,
        ),
        Method(
            "ppo",
            "PPO without a teacher",
            "Proximal policy optimization, 1707.06347",
            PPO,
            {**_PPO, "ent_coef": 0.01},
            {**_ROOMS, **_STOCK_ALONE, **_PPO_KITCHENS},
            teaches=False,
        ),
        Method(
            "ppo-prior",
            "PPO held near a language model's prior over the actions by a KL term, annealed to zero",
            "LLM priors, 2410.07927",
            PPO,
            {
                **_PPO,
                "guidance": "prior",
                "prior.epsilon": 0.05,
                # The KL term teaches where the student goes, and at first that is nowhere: the prior plays along.
                "teacher_share.start": 0.5,
                "teacher_share.until": 0.1,
                "teacher.kind": "linear",
                "teacher.start": 1.0,
                "teacher.end": 0.0,
                "teacher.until": 0.5,
            },
            _PPO_KITCHENS,
            home="KitchenRandom",
        ),
        Method(
            "dqn",
            "Double DQN over (situation, action) pairs in words",
            "DQN, Mnih et al. 2015; 1509.06461",
            DQN,
            _DQN,
            {**_DQN_TASKS, **_DQN_HOUSEHOLDS},
            teaches=False,
            home="KitchenRandom",
        ),
        Method(
            "dqn-prior",
            "DQN that acts and looks ahead among what a language model proposes (direct posterior sampling)",
            "LLM priors, 2410.07927",
            DQN,
            _DQN,
            {**_DQN_TASKS, **_DQN_PLANNED},
            home="KitchenRandom",
        ),
        Method(
            "cql",
            "Conservative Q-learning from a file of demonstrations (data=FILE)",
            "CQL, 2006.04779",
            CQL,
            _CQL,
            _HOUSEHOLDS,
            teaches=False,
            home="KitchenRandom",
        ),
        Method(
            "cql-prior",
            "CQL among what a language model proposes, from a file of demonstrations (data=FILE)",
            "LLM priors, 2410.07927",
            CQL,
            _CQL | {"prior.k": 5},
            _PLANNED,
            home="KitchenRandom",
        ),
        Method(
            "offline-bc",
            "Behaviour cloning from a file of demonstrations (data=FILE)",
            "Pomerleau 1991",
            CLONING,
            _OFFLINE,
            _HOUSEHOLDS,
            teaches=False,
            home="KitchenRandom",
        ),
        Method(
            "beacons",
            "PPO with a reward for every sub-goal of the language model's plans that is reached",
            "Words as Beacons, 2410.08632",
            PPO,
            {**_PPO, **_UNGUIDED, "rewards.term": "beacons", "shaping.kind": "constant", "shaping.start": 0.2},
            {"ColoredDoorKey": _LONG, "LavaDoorKey": _LONGER, **_STOCK},
            expected={"KeyCorridorS3R3": 0.9},
        ),
        Method(
            "lmgt",
            "PPO with a reward shift: the language model rates every action",
            "LMGT, 2409.04744",
            PPO,
            {**_PPO, **_UNGUIDED, "rewards.term": "judge", "shaping.start": 0.05, "shaping.until": 1.0},
            {"ColoredDoorKey": _LONG, "LavaDoorKey": _LONGER, **_STOCK},
            model="recorded:minigrid",
        ),
        Method(
            "bc",
            "Behaviour cloning: copies the teacher at work",
            "Pomerleau 1991",
            IMITATION,
            {"rounds": 1},
            _LABELS,
        ),
        Method(
            "dagger",
            "DAgger: the student acts, the teacher labels, all labels are kept",
            "Ross et al. 2011, 1011.0686",
            IMITATION,
            {"rounds": 20},
            _LABELS,
        ),
        Method(
            "when2ask",
            "A policy learns when to ask the language model for a new plan; skills carry plans out",
            "When2Ask, 2306.03604",
            WHEN2ASK,
            _ASKING,
            {"RandomBoxKey": _ASKING_LESS, "ColoredDoorKey": _ASKING_OR_WAITING},
            home="ColoredDoorKey",
        ),
        Method(
            "option-ppo",
            "PPO that chooses among the task's skills, without a teacher",
            "Between MDPs and semi-MDPs, Sutton et al. 1999",
            PPO,
            {**_PPO, "num_steps": 32, "ent_coef": 0.01, "student.chooses": "skills"},
            teaches=False,
        ),
        Method(
            "subgoals",
            "A small language model learns sub-goals and actions from annotated demonstrations (data=FILE)",
            "Sub-goal Distillation, 2405.02749",
            FINETUNING,
            {},
            teaches=False,
            home="ScienceWorld",
            build=BUILD_TEXT,
        ),
        Method(
            "subgoals-flat",
            "The same student learns the actions alone: flat imitation (data=FILE)",
            "Pomerleau 1991",
            FINETUNING,
            {"subgoals": False},
            teaches=False,
            home="ScienceWorld",
            build=BUILD_TEXT,
        ),
        Method(
            "subgoals-step",
            "The same student, fed as in the paper: one prompt for each sub-goal and each action (data=FILE)",
            "Sub-goal Distillation, 2405.02749",
            FINETUNING,
            {"feeding": "step"},
            teaches=False,
            home="ScienceWorld",
            build=BUILD_TEXT,
        ),
        Method(
            "distill",
            "A student of sentence vectors learns the decisions in an agent's logs (data=FILE)",
            "Distilling the knowledge in a neural network, Hinton et al. 2015",
            DISTILLATION,
            {},
            teaches=False,
            home="logs",
            build=BUILD_DECISIONS,
        ),
    )
}


def methods() -> dict[str, Method]:
    """All methods by name: wean's own, and what other packages declare as `wean.methods`."""
    return METHODS | {name: load() for name, load in entry_points("wean.methods").items()}


def find_method(method: str | Method) -> Method:
    """Finds a preset by name; one that is none of the known comes back as it is.

    Raises:
        UsageError: If there is none of that name.
    """
    if isinstance(method, Method):
        return method
    if method in METHODS:
        return METHODS[method]
    known = methods()
    if method in known:
        return known[method]
    hint = did_you_mean(method, known, f"there are {', '.join(known)}")
    raise UsageError(f"unknown method {method!r}; {hint}")

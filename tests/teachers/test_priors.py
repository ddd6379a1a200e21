"""A language model as a prior over actions: three ways to ask, k, temperature, mixing, and one question a situation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from small_tasks import Corridor
from wean.errors import UsageError
from wean.llm import open_model, scripted_model
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import (
    PriorConfig,
    Proposals,
    choice_question,
    sampled_choices,
    scored_choices,
    verbalized_choices,
)
from wean.teachers.priors import Prior

HALL = Situation("Get out.", "You are in a hall.", ("go north", "go south", "wait"))
STATED = '{"choices": [{"choice": "go north", "probability": 0.8}, {"choice": "wait", "probability": 0.2}]}'


def _places(count: int) -> list[Situation]:
    return [Situation("Get out.", f"You are in room {room}.", ("north", "south")) for room in range(count)]


def _fixed(*weights: float) -> Prior:
    return Prior(lambda new: [Proposals(np.array(weights))] * len(new))


def test_the_question_holds_goal_situation_and_every_choice() -> None:
    system, user = choice_question(HALL)
    assert system["content"].startswith("Get out. ")
    assert user["content"] == "You are in a hall.\n\nThe choices are:\n- go north\n- go south\n- wait"


def test_verbalized_probabilities_and_their_temperature() -> None:
    [found] = verbalized_choices(scripted_model(lambda request: STATED), [HALL])
    assert found.weights.tolist() == pytest.approx([0.8, 0, 0.2])
    assert found.answers == (STATED,)
    # T = 0.5 squares them: 0.64 and 0.04 of 0.68.
    [sharp] = verbalized_choices(scripted_model(lambda request: STATED), [HALL], temperature=0.5)
    assert sharp.weights.tolist() == pytest.approx([16 / 17, 0, 1 / 17])


def test_samples_are_shares_of_the_readable_answers(tmp_path: Path) -> None:
    from wean.teachers.elicitation import _CHOICE

    said = ["go north", "Go north!", "let me think", "wait", "go up"]
    file = tmp_path / "said.jsonl"
    request = choice_question(HALL, _CHOICE)
    file.write_text("".join(json.dumps({"messages": request, "answer": answer}) + "\n" for answer in said))
    [found] = sampled_choices(open_model(f"recorded:{file}"), [HALL], k=5)
    assert found.weights.tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert found.answers == tuple(said)


def test_logprobs_are_the_softmax_of_the_scores(tmp_path: Path) -> None:
    class Scores:
        def score(self, requests: object, choices: Sequence[Sequence[str]], normalize: str) -> list[list[float]]:
            assert [list(row) for row in choices] == [["go north", "go south", "wait"]]
            return [[-1.0, -2.0, -3.0]]

    weights = np.exp([-1.0, -2, -3]) / np.exp([-1.0, -2, -3]).sum()
    [found] = scored_choices(Scores(), [HALL])  # type: ignore[arg-type]
    assert found.weights == pytest.approx(weights)
    [flat] = scored_choices(Scores(), [HALL], temperature=2.0)  # type: ignore[arg-type]
    assert flat.weights == pytest.approx(weights**0.5 / (weights**0.5).sum())


def test_plans_propose_their_first_item_that_is_a_choice_and_the_question_lists_none() -> None:
    asked: list[str] = []
    stated = [(["look", "Go North", "wait"], 0.6), (["wait"], 0.3), (["dance"], 0.1)]

    def answer(request: list[dict[str, str]]) -> str:
        asked.append(request[-1]["content"])
        return json.dumps({"plans": [{"skills": skills, "probability": p} for skills, p in stated]})

    shut = Situation("Get out.", HALL.text, ("go south", "wait"), "shut")
    found = Prior(scripted_model(answer), PriorConfig(elicitation="plans")).weights([HALL, shut])
    assert [row.tolist() for row in found] == [pytest.approx([2 / 3, 0, 1 / 3]), pytest.approx([0, 1])]
    assert asked == ["You are in a hall."]


def test_mixing_with_chance_rules_nothing_out() -> None:
    prior = Prior(lambda new: [Proposals(np.array([0.75, 0.25, 0]))] * len(new), config=PriorConfig(epsilon=0.3))
    [found] = prior.propose([HALL])
    assert found.weights.tolist() == pytest.approx([0.625, 0.275, 0.1])


def test_k_proposals_are_drawn_once_and_by_the_words_alone() -> None:
    def ask(new: Sequence[Situation]) -> list[Proposals]:
        return [Proposals(np.array([0.7, 0.3]))] * len(new)

    places = _places(400)
    prior = Prior(ask, PriorConfig(k=5), seed=1)
    drawn = np.array([found.weights for found in prior.propose(places)])
    assert set((drawn * 5).round(9).ravel()) <= {0, 1, 2, 3, 4, 5}
    assert drawn.mean(0) == pytest.approx([0.7, 0.3], abs=0.03)
    backwards = Prior(ask, PriorConfig(k=5), seed=1).propose(places[::-1])
    assert [found.weights.tolist() for found in backwards[::-1]] == drawn.tolist()
    assert [found.weights.tolist() for found in Prior(ask, PriorConfig(k=5), seed=2).propose(places)] != drawn.tolist()


def test_each_situation_is_asked_about_once_and_not_again_after_a_resume() -> None:
    asked: list[str] = []

    def ask(new: Sequence[Situation]) -> list[Proposals]:
        asked.extend(situation.text for situation in new)
        return [Proposals(np.array([1.0, 0.0]), ("north",))] * len(new)

    prior, places = Prior(ask), _places(3)
    prior.count([*places, places[0]])
    prior.propose(places)
    prior.propose([Situation(place.goal, place.text, place.choices, key=number) for number, place in enumerate(places)])
    assert asked == [place.text for place in places]
    resumed = Prior(ask)
    resumed.count(places[:1])  # as a learner does that is built anew
    asked.clear()
    resumed.restore(json.loads(json.dumps(prior.state())))
    resumed.propose(places)
    assert asked == []
    assert resumed.table() == prior.table()
    assert [row["met"] for row in prior.table()] == [2, 1, 1]


def test_no_proposal_is_no_advice_and_never_a_guess() -> None:
    corridor = SerialTasks([Corridor] * 2)
    corridor.reset([0, 1], [0, 1])
    prior = _fixed(0.0, 0.0)
    guidance = prior.guide(corridor, [0, 1], 2)
    assert guidance.probabilities.tolist() == [[0, 0], [0, 0]]
    assert guidance.advised.tolist() == [False, False]
    assert prior.unadvised == 2
    told = _fixed(0.0, 1.0).guide(corridor, [1], 2)
    assert told.probabilities.tolist() == [[0, 1]]
    assert told.advised.tolist() == [True]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_prior_that_proposes_nothing_is_one_clear_line(one_by_one: bool) -> None:
    model = scripted_model(lambda request: "I cannot say.")
    prior = Prior(model)
    *first, last = [[place] for place in _places(20)] if one_by_one else [_places(20)]
    for places in first:
        prior.propose(places)
    with pytest.raises(UsageError, match="proposed no action in any of the first 20 situations; name another") as error:
        prior.propose(last)
    assert "\n" not in str(error.value)


def test_in_a_task_of_few_situations_too() -> None:
    prior = _fixed(0.0, 0.0)
    prior.count(_places(3) * 66)
    with pytest.raises(UsageError, match="proposed no action in any of the first 3 situations"):
        prior.count(_places(3))


def test_one_proposal_is_enough_to_go_on() -> None:
    prior = Prior(lambda new: [Proposals(np.array([1.0, 0.0]) * (s.text == "You are in room 0.")) for s in new])
    for place in _places(60):
        prior.count([place] * 10)
    assert prior.unadvised == 590

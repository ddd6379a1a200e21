"""Cards begin with metadata that the Hub's own library reads."""

from huggingface_hub import ModelCard

from wean.report.hub import card_metadata
from wean.report.report import run_card, text_student_card

FINE_TUNED = {
    "task": 'Science: "World"\n#',
    "method": "subgoal-distillation",
    "student_parameters": 10,
    "demonstrations": 2,
    "dev_demonstrations": 1,
    "tasks": ["boil"],
    "tokens": 100,
    "seconds": 1.0,
    "device": "cpu",
    "gradient_steps": 3,
    "command": "wean train subgoal-distillation",
    "best": {"gradient_steps": 3, "exact": 0.5},
}


def test_a_student_that_reads() -> None:
    card = ModelCard(run_card(text_student_card(FINE_TUNED)))
    assert card.data.pipeline_tag == "text-generation"
    assert FINE_TUNED["task"] in card.data.tags
    assert card.text.lstrip().startswith("# A text student")
    assert "| `report.html` |" in card.text


def test_scores_are_eval_results() -> None:
    metrics = [{"type": "success_rate", "name": "success rate", "value": 0.5}]
    (result,) = ModelCard(card_metadata("SimpleDoorKey", ["ppo"], metrics) + "# card\n").data.eval_results
    assert (result.task_type, result.dataset_name, result.metric_value) == (
        "reinforcement-learning",
        "SimpleDoorKey",
        0.5,
    )

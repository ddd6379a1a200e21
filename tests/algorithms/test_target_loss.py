"""The loss of a text student, term by term."""

import pytest
import torch

from wean.algorithms.finetune import TargetLoss
from wean.runtime.prompt import PromptConfig, Window
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.examples import collate
from wean.students.text.student import has_copy_head

WINDOWS = [Window([20, 31, 45, 20, 31, 7], [0, 0, 1, 2, 0, 1]), Window([20, 99, 13], [0, 0, 1])]
SAID = [(0, 2), (0, 3), (0, 5), (1, 2)]
TOLD = [(0, 1), (0, 4), (1, 1)]


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_what_is_said_is_learnt_and_what_is_told_with_its_weight(weight: float) -> None:
    student = new_student(train_tokenizer(["open door"], 320), Size(32, 2, 2), PromptConfig(context=256), seed=3)
    assert has_copy_head(student.model)
    batch = collate(WINDOWS, student.pad)
    loss, right = TargetLoss(student.model, student.pad, weight).train()(batch)
    hidden = student.model.base_model(input_ids=batch.ids).last_hidden_state
    logits = student.model.lm_head(hidden)

    def known(row: int, place: int) -> torch.Tensor:
        return -logits[row, place - 1].log_softmax(-1)[batch.ids[row, place]]

    def said(row: int, place: int) -> torch.Tensor:
        """By hand: a softmax over the places so far, the copied share of those where the token stands."""
        copying, seen = student.model.copying, hidden[row, :place]
        one, two = copying.follows(seen[-1])
        keys = copying.here(seen)
        keys[1:] = keys[1:] + copying.before(seen[:-1])
        ids = batch.ids[row].tolist()
        worth = [
            (one if at and ids[at - 1] == ids[place - 1] else 0 * one)
            + (two if at > 1 and ids[at - 2 : at] == ids[place - 2 : place] else 0 * two)
            for at in range(place)
        ]
        attention = (keys @ copying.query(seen[-1]) / 32**0.5 + torch.stack(worth)).softmax(-1)
        share = copying.share(seen[-1]).sigmoid()[0]
        label = batch.ids[row, place]
        copied = attention[batch.ids[row, :place] == label].sum()
        return -((1 - share) * logits[row, place - 1].softmax(-1)[label] + share * copied).log()

    wanted = torch.stack([said(*one) for one in SAID]).mean()
    wanted = wanted + weight * torch.stack([known(*one) for one in TOLD]).mean()
    torch.testing.assert_close(loss, wanted)
    assert right.shape == (4,)


def test_dev_demonstrations_are_weighed_by_what_is_said_alone() -> None:
    student = new_student(train_tokenizer(["open door"], 320), Size(32, 2, 2), PromptConfig(context=256), seed=3)
    batch = collate(WINDOWS, student.pad)
    one, other = (TargetLoss(student.model, student.pad, weight).eval()(batch)[0] for weight in (0.0, 0.3))
    torch.testing.assert_close(one, other)

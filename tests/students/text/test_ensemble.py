"""Students that act together say what the mean of their probabilities says."""

from pathlib import Path

import pytest
import torch

from wean.errors import UsageError
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.decoder import CausalDecoder
from wean.students.text.incremental import Ensemble
from wean.students.text.student import TextStudent, load_ensemble, save_text_student

IDS, LATER = [20, 31, 45, 20, 7], [99, 13, 55]


def student(seed: int, words: tuple[str, ...] = ("open door", "go north"), context: int = 256) -> TextStudent:
    made = new_student(train_tokenizer(list(words), 320), Size(32, 2, 2), PromptConfig(context=context), seed)
    made.model.eval()
    return made


def test_probabilities_are_averaged_behind_the_same_cache() -> None:
    one, other = student(3), student(4)
    decoders = [CausalDecoder(one), CausalDecoder(other)]
    together = CausalDecoder(one, [other])
    for ids in (IDS, [*IDS, *LATER], [*IDS, 5]):
        mean = sum(decoder.read(ids).softmax(-1) for decoder in decoders) / 2
        torch.testing.assert_close(together.read(ids).exp(), mean, atol=1e-6, rtol=1e-5)
    assert together.tokens_read == decoders[0].tokens_read  # each token once
    assert not torch.allclose(decoders[0].read(IDS), decoders[1].read(IDS))


def test_what_neither_finds_most_probable_can_be_said_together() -> None:
    one, other = torch.tensor([0.5, 0.1, 0.4]), torch.tensor([0.1, 0.5, 0.4])

    class Says:
        def __init__(self, probabilities: torch.Tensor) -> None:
            self.probabilities = probabilities

        def run(self, ids: list[int], past: int, last: int = 1) -> torch.Tensor:
            return self.probabilities.log().expand(last, -1)

    found = Ensemble([Says(one), Says(other)]).run([1, 2], 0, 2)
    torch.testing.assert_close(found.exp(), torch.tensor([[0.3, 0.3, 0.4]] * 2))


def test_only_students_that_are_told_alike_act_together(tmp_path: Path) -> None:
    for name, other in {
        "first": student(3),
        "seed": student(4),
        "tokens": student(3, ("shut the gate", "go south")),
        "context": student(3, context=512),
    }.items():
        save_text_student(other, tmp_path / name)
    assert len(load_ensemble([tmp_path / "first", tmp_path / "seed"])) == 2
    for name in ("tokens", "context"):
        with pytest.raises(UsageError, match=rf"{name} and .*first cannot act together; take decoders that were"):
            load_ensemble([tmp_path / one for one in ("first", "seed", name)])

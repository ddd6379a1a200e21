"""A text student at work says and weighs what an ordinary pass of its model does."""

import pytest
import torch

from wean.students.reading import Reader
from wean.students.steps import LeanSteps, ModelSteps, steps_of
from wean.students.text import Habits, Size, TextStudent, new_student
from wean.students.tokens import train_tokenizer

IDS = [20, 31, 45, 20, 7, 99, 13, 55]


@pytest.fixture
def student() -> TextStudent:
    made = new_student(train_tokenizer(["open door", "go north"], 320), Size(32, 2, 2), Habits(context=256), seed=3)
    made.model.eval()
    return made


def plain(student: TextStudent, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = student.model(input_ids=torch.tensor([ids])).logits[0]
    return logits


@pytest.mark.parametrize("kind", [LeanSteps, ModelSteps])
def test_passes_behind_the_cache_give_the_models_own_logits(student: TextStudent, kind: type) -> None:
    steps = LeanSteps(student.model, 256) if kind is LeanSteps else ModelSteps(student.model)
    with torch.inference_mode():
        steps.run(IDS[:3], 0)
        steps.run([1, 2, 3], 3)  # forgotten again
        steps.run(IDS[3:6], 3)
        steps.run(IDS[6:7], 6)
        found = steps.run(IDS[7:], 7)
    torch.testing.assert_close(found[-1], plain(student, IDS)[-1], rtol=1e-4, atol=1e-5)


def test_a_student_of_its_own_takes_the_lean_passes(student: TextStudent) -> None:
    assert isinstance(steps_of(student.model, 256), LeanSteps)


def test_what_is_weighed_along_a_trie_is_what_each_answer_would_be_alone(student: TextStudent) -> None:
    answers = [[40, 41, 12], [40, 42, 12], [40, 41, 43, 12], [50, 12]]
    reader = Reader(student)
    found = reader.weigh(IDS, answers)
    for answer, weight in zip(answers, found, strict=True):
        logs = plain(student, IDS + answer).log_softmax(-1)
        alone = sum(float(logs[len(IDS) - 1 + i, token]) for i, token in enumerate(answer))
        assert weight == pytest.approx(alone, abs=1e-3)
    # The cache is as it was: reading on gives what an ordinary pass gives.
    torch.testing.assert_close(reader.read([*IDS, 40]), plain(student, [*IDS, 40])[-1], rtol=1e-4, atol=1e-5)


def test_it_reads_again_only_what_is_new(student: TextStudent) -> None:
    reader = Reader(student)
    reader.read(IDS)
    reader.read([*IDS, 5])
    assert reader.tokens_read == len(IDS) + 1
    reader.read([*IDS[:4], 9])
    assert reader.tokens_read == len(IDS) + 2


def test_it_says_the_most_probable_tokens(student: TextStudent) -> None:
    ids, said = list(IDS), Reader(student).say(IDS)
    for _ in range(48):
        token = int(plain(student, ids)[-1].argmax())
        if token == student.mark["<end>"]:
            break
        ids.append(token)
    assert said == student.decode(ids[len(IDS) :])

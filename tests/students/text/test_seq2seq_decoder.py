"""An encoder-decoder student at work says and chooses what its model does, and acts out what it has memorised."""

from pathlib import Path

import pytest
import torch

from lm.tiny import tiny_t5, tiny_tokenizer
from scripted_words import actions_in, goals_in, played_by
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import pretrained_student
from wean.students.text.decoder import Seq2SeqDecoder, decoder_for
from wean.students.text.student import TextStudent, load_text_student, save_text_student
from word_demos import Replayed, demonstration


def tiny_t5_folder(folder: Path) -> Path:
    """A tiny encoder-decoder in a folder, as it would come from a hub."""
    tokenizer = tiny_tokenizer(chat=False)
    tiny_t5(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


IDS = [20, 31, 45, 20, 7, 99, 13, 55]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> TextStudent:
    folder = tiny_t5_folder(tmp_path_factory.mktemp("t5"))
    return pretrained_student(f"hf:{folder}", PromptConfig(feeding="step", context=512), seed=1)


def plain(student: TextStudent, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Log-probabilities of the answer's tokens by an ordinary pass."""
    with torch.inference_mode():
        output = student.model(input_ids=torch.tensor([prompt]), labels=torch.tensor([answer]))
    return output.logits[0].log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0]


def test_what_is_chosen_is_the_most_probable_of_an_ordinary_pass(student: TextStudent) -> None:
    decoder = decoder_for(student)
    assert isinstance(decoder, Seq2SeqDecoder)
    answers = [[40, 41, 12], [40, 42], [50]]
    whole = [float(plain(student, IDS, answer).sum()) for answer in answers]
    assert decoder.rank(IDS, answers) == whole.index(max(whole))
    act = student.mark["<act>"]
    begun = [float(plain(student, IDS, [act, *answer])[1:].sum()) for answer in answers]
    assert decoder.rank([*IDS, act], answers) == begun.index(max(begun))
    first = plain(student, IDS, [40])[0] >= plain(student, IDS, [50])[0]
    assert decoder.prefers(IDS, 40, 50) == bool(first)


def test_a_saved_student_says_the_same(student: TextStudent, tmp_path: Path) -> None:
    save_text_student(student, tmp_path / "student")
    again = load_text_student(tmp_path / "student")
    assert decoder_for(again).generate(IDS, 2) == decoder_for(student).generate(IDS, 2)


def test_it_says_the_most_probable_tokens(student: TextStudent) -> None:
    act, end = student.mark["<act>"], student.mark["<end>"]
    answer = [act]
    while answer[-1] != end and len(answer) < 49:
        with torch.inference_mode():
            start = torch.tensor([[student.model.config.decoder_start_token_id, *answer]])
            logits = student.model(input_ids=torch.tensor([IDS]), decoder_input_ids=start).logits
        answer.append(int(logits[0, -1].argmax()))
    said = decoder_for(student).generate([*IDS, act], end)
    assert said == [token for token in answer[1:] if token != end]


def test_it_plays(student: TextStudent) -> None:
    trajectory, _ = demonstration(0)
    task = Replayed(trajectory, tuple(sorted(set(trajectory.actions))))
    stats = played_by(student, task, 3)
    assert task.done == actions_in(stats["trace"])
    assert len(task.done) == 3
    assert goals_in(stats["trace"])
    assert stats["tokens"] > 0

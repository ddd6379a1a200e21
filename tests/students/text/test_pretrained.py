"""A pretrained student: the vocabulary that it keeps, what its marks begin as, what is trained, and going on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lm.tiny import CORPUS, tiny_llama, tiny_tokenizer
from wean.errors import UsageError, WeanError
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import resolve
from wean.runtime.prompt import MARKS, PromptConfig
from wean.students.text.creation import Trained, pretrained_student
from wean.students.text.student import TextStudent, load_text_student
from word_demos import write

READ = "go to the red key"
PROMPT = PromptConfig(context=512)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def tied(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return _saved(tmp_path, tied=True)


def _saved(folder: Path, tied: bool) -> str:
    tokenizer = tiny_tokenizer(chat=False)
    tiny_llama(len(tokenizer), tie_word_embeddings=tied).save_pretrained(folder / "llama")
    tokenizer.save_pretrained(folder / "llama")
    return f"hf:{folder / 'llama'}"


def _logits(student: TextStudent, text: str) -> Any:
    with torch.inference_mode():
        logits = student.model(input_ids=torch.tensor([student.encode(text)])).logits[0]
    return {student.tokenizer.id_to_token(number): value for number, value in enumerate(logits[-1].tolist())}


def test_a_cut_vocabulary_reads_and_says_what_is_kept_as_before(tmp_path: Path, tied: bool) -> None:
    name = _saved(tmp_path, tied)
    whole = pretrained_student(name, PROMPT, seed=1)
    cut = pretrained_student(name, PROMPT, seed=1, texts=[f"<task>{READ}"])
    assert cut.tokenizer.encode(f"<task>{READ}").tokens == whole.tokenizer.encode(f"<task>{READ}").tokens
    assert cut.tokenizer.get_vocab_size() < whole.tokenizer.get_vocab_size() - 50
    before, after = _logits(whole, READ), _logits(cut, READ)
    assert len(after) == cut.model.get_output_embeddings().weight.shape[0]
    for token, value in after.items():
        assert before[token] == pytest.approx(value, abs=1e-4), token


@pytest.mark.parametrize("text", ["an unseen armadillo", "\u00fcml\u00e4ut \u2603", *CORPUS[:3]])
def test_what_a_cut_vocabulary_lacks_is_written_in_smaller_pieces(model: str, text: str) -> None:
    cut = pretrained_student(model, PROMPT, seed=1, texts=[READ])
    assert cut.decode(cut.encode(text)) == text


def test_the_most_frequent_tokens_are_kept_beside_those_that_occur(model: str) -> None:
    few, more = (pretrained_student(model, PROMPT, seed=1, texts=[READ], vocabulary=n) for n in (0, 350))
    assert few.tokenizer.get_vocab_size() < 350 <= more.tokenizer.get_vocab_size() <= 350 + len(MARKS) + 2


def test_a_mark_begins_as_its_word(model: str) -> None:
    plain, student = tiny_tokenizer(chat=False), pretrained_student(model, PROMPT, seed=1)
    rows = student.model.get_input_embeddings().weight
    for mark, word in (("<goal>", " goal"), ("<inv>", "inventory"), ("<end>", "\n")):
        of_word = rows[plain.encode(word, add_special_tokens=False)].mean(0)
        torch.testing.assert_close(rows[student.tokenizer.token_to_id(mark)], of_word)


def test_frozen_layers_stay_as_they_are(model: str) -> None:
    student = pretrained_student(model, PROMPT, seed=1, trained=Trained(frozen_layers=2))
    frozen = {name.split(".")[2] for name, one in student.model.named_parameters() if not one.requires_grad}
    assert frozen == {"0", "1"}
    with pytest.raises(UsageError, match="has 3 layers that can be frozen, and one must be trained"):
        pretrained_student(model, PROMPT, seed=1, trained=Trained(frozen_layers=3))


def test_a_stopped_run_goes_on_to_the_same_weights(model: str, tmp_path: Path) -> None:
    write(tmp_path, count=3)
    overrides = [f"data={tmp_path / 'demos.jsonl'}", f"annotations={tmp_path / 'subgoals.jsonl'}", f"model={model}"]
    overrides += [
        "context=512",
        "num_epochs=2.5",
        "dev_share=0",
        "measurements=4",
        "token_budget=400",
        "vocabulary=300",
    ]
    config = resolve("subgoals", overrides=overrides)
    notes: list[str] = []
    Runner(config, tmp_path / "whole", say=notes.append).run()
    assert any(note.startswith("trains in ") for note in notes)

    def stop(now: Progress) -> None:
        if now.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(WeanError, match="--resume goes on"):
        Runner(config, tmp_path / "stopped", progress=stop).run()
    Runner(config, tmp_path / "stopped", resume=True).run()
    one, two = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("whole", "stopped"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name
    load_text_student(tmp_path / "stopped" / "student")

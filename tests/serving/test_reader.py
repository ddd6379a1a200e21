"""The network of a student that reads: the same probabilities as in PyTorch, however its tokens come."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import wean
from reading_students import CONTEXT, reading_student
from wean.runtime.reading_network import ReadingNetwork
from wean.serving.reader import SPARE, check_readable, write_reader
from wean.serving.reader_source import TorchNetwork
from wean.students.text.student import TextStudent, with_copies

pytest.importorskip("onnx", reason="export needs an extra: pip install '.[export]'")

KINDS = ["scratch", "pretrained", "tied", "biased"]


@pytest.fixture(scope="module", params=KINDS)
def written(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextStudent, Any]:
    """A student, and its exported network ready to run."""
    import onnxruntime

    student = reading_student(request.param)
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    write_reader(student, path)
    return student, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def whole(student: TextStudent, ids: list[int]) -> np.ndarray:
    """Probabilities (T, vocabulary) after each token, by a pass over the whole sequence in PyTorch."""
    tokens = torch.tensor([ids])
    output = student.model.model(input_ids=tokens).last_hidden_state
    rows, columns = torch.zeros(len(ids), dtype=torch.long), torch.arange(len(ids))
    logits = student.model.lm_head(output[0])
    return with_copies(student.model, output, tokens, rows, columns, logits).softmax(-1).numpy()


def test_a_sequence_in_pieces_is_read_as_a_whole(written: tuple[TextStudent, Any]) -> None:
    student, session = written
    ids = np.random.default_rng(0).integers(5, 60, CONTEXT).tolist()  # few tokens: many are copied
    wanted, network, past = whole(student, ids), ReadingNetwork(session, CONTEXT + SPARE), 0
    for size in (1, 1, 2, 250, 1, 45):  # the cache grows within the fifth
        found = np.exp(network.run(ids[past : past + size], past, size))
        np.testing.assert_allclose(found, wanted[past : past + size], atol=1e-5)
        past += size


def test_what_was_read_can_be_taken_back(written: tuple[TextStudent, Any]) -> None:
    student, session = written
    first, second = ([*range(10, 30), *more] for more in ([31, 32, 33], [40, 11, 12, 41, 11]))
    network = ReadingNetwork(session, CONTEXT + SPARE)
    network.run(first, 0)
    np.testing.assert_allclose(np.exp(network.run(second[20:], 20, 2)), whole(student, second)[-2:], atol=1e-5)


def test_it_agrees_with_the_lean_pass_that_acts(written: tuple[TextStudent, Any]) -> None:
    student, session = written
    own, network = TorchNetwork(student), ReadingNetwork(session, CONTEXT + SPARE)
    for past, ids in ((0, [5, 6, 7, 8]), (4, [9]), (2, [7, 8, 5])):
        np.testing.assert_allclose(np.exp(network.run(ids, past)), np.exp(own.run(ids, past)), atol=1e-5)


def test_sequences_of_different_lengths_are_read_side_by_side(written: tuple[TextStudent, Any]) -> None:
    student, session = written
    random, capacity = np.random.default_rng(1), 20
    sequences = [random.integers(5, 40, length).tolist() for length in (9, 4, 13)]
    news = (3, 4, 1)  # of each the last tokens are new, the others in its cache; padded to 4
    given: dict[str, Any] = {}
    for one in session.get_inputs():
        sizes = [{"batch": 3, "new": 4, "wanted": 1, "capacity": capacity}.get(size, size) for size in one.shape]
        given[one.name] = np.zeros(sizes, np.int64 if one.type == "tensor(int64)" else np.float32)
    for row, (ids, new) in enumerate(zip(sequences, news, strict=True)):
        past = len(ids) - new
        given["ids"][row, :new], given["past"][row], given["at"][row] = ids[past:], past, new - 1
        if past:
            _fill(session, given, row, ids[:past])
        if "seen" in given:
            given["seen"][row, : len(ids)] = ids
    (logs,) = session.run(["logs"], given)
    for row, ids in enumerate(sequences):
        np.testing.assert_allclose(np.exp(logs[row, 0]), whole(student, ids)[-1], atol=1e-5)


def _fill(session: Any, given: dict[str, Any], row: int, ids: list[int]) -> None:
    """Reads tokens by themselves, and puts what they leave into one row of a batch's cache."""
    alone = {name: np.zeros_like(value[:1]) for name, value in given.items()}
    alone |= {"ids": np.array([ids]), "past": np.zeros(1, np.int64), "at": np.zeros((1, 1), np.int64)}
    if "seen" in alone:
        alone["seen"][0, : len(ids)] = ids
    names = [one.name for one in session.get_outputs()]
    found = dict(zip(names, session.run(names, alone), strict=True))
    for name, value in given.items():
        if name.startswith(("keys_", "values_")):
            value[row, :, : len(ids)] = found[f"new_{name}"][0]
    if "copy_keys" in given:
        given["copy_keys"][row, : len(ids)] = found["new_copy_keys"][0]
        given["trail"][row] = found["new_trail"][0, -1]


def test_other_architectures_are_refused_in_one_line() -> None:
    student: Any = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(model_type="gpt2")))
    with pytest.raises(wean.UsageError, match="a gpt2 model") as error:
        check_readable(student)
    assert "\n" not in str(error.value)

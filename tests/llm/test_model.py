"""The model that everybody sees: recorded, scripted and local, their counts, and wrong use."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import resources
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wean.errors import UsageError, WeanError
from wean.llm import Answer, Budget, BudgetError, Counts, Ledger, open_model, scripted_model
from wean.llm.answers import Price


def rows():
    text = resources.files("wean.llm").joinpath("recorded", "doorkey.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def write_rows(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return f"recorded:{path}"


# Recorded answers.


def test_shipped_recording_answers_all_its_questions():
    model = open_model("recorded:doorkey", strict=True)
    answers = model.generate([row["messages"] for row in rows()])
    assert [answer.text for [answer] in answers] == [row["answer"] for row in rows()]
    assert (model.counts.replayed, model.counts.asked, model.counts.distinct) == (80, 0, 80)
    assert model.counts.cost_usd == 0.0
    assert model.name == "recorded:doorkey"
    assert model.identity.startswith("recorded:doorkey@")
    assert not model.unanswered


def test_recorded_answers_do_not_depend_on_sampling_parameters(ask):
    model = open_model("recorded:doorkey")
    request = rows()[0]["messages"]
    [[one]] = model.generate([request], temperature=0.1)
    [[other]] = model.generate([request], top_p=0.3, max_tokens=7, schema={"type": "object"})
    assert one.text == other.text == rows()[0]["answer"]


def test_repeated_rows_are_samples_in_their_order(tmp_path, ask):
    name = write_rows(
        tmp_path / "r.jsonl",
        {"messages": ask("a"), "answer": "first"},
        {"messages": ask("b"), "answer": "other"},
        {"messages": ask("a"), "answer": "second"},
        {"messages": ask("a"), "answer": "ninth", "sample": 9},
    )
    model = open_model(name)
    [answers] = model.generate([ask("a")], n=3)
    assert [answer.text for answer in answers] == ["first", "second", None]
    [[ninth]] = model.generate([ask("a")], first_sample=9)
    assert ninth.text == "ninth"


def test_what_is_not_recorded_is_counted_and_exported(tmp_path, ask):
    model = open_model("recorded:doorkey")
    [[one], [again], [two]] = model.generate([ask("a"), ask("a"), ask("b")])
    assert one.text is again.text is two.text is None
    assert (model.counts.unanswered, model.counts.replayed) == (3, 0)
    assert [row["messages"] for row in model.unanswered] == [ask("a"), ask("b")]
    path = tmp_path / "open.jsonl"
    assert model.save_unanswered(path) == 2
    filled = [json.loads(line) | {"answer": f"answer {i}"} for i, line in enumerate(path.read_text().splitlines())]
    name = write_rows(path, *filled)
    [[answer], [other]] = open_model(name, strict=True).generate([ask("a"), ask("b")])
    assert (answer.text, other.text) == ("answer 0", "answer 1")


def test_strict_stops(ask):
    model = open_model("recorded:doorkey", strict=True)
    with pytest.raises(WeanError, match=r"no answer to 1 question\(s\) \(strict\).*save_unanswered"):
        model.generate([ask("a")])
    assert len(model.unanswered) == 1


def test_recorded_model_with_a_ledger_notes_there_and_finds_there(ledger, tmp_path, ask):
    from wean.llm.transfer import export_lines, import_answers, open_output

    open_model("recorded:doorkey", ledger=ledger).generate([ask("a")])
    path = tmp_path / "open.jsonl"
    with open_output(str(path)) as out:
        assert export_lines(ledger, out, unanswered=True) == (1, 0)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"answer": "by hand"}))
    assert import_answers(ledger, path).added == 1
    model = open_model("recorded:doorkey", ledger=ledger, strict=True)
    [[answer]] = model.generate([ask("a")])
    assert (answer.text, answer.replayed) == ("by hand", True)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{broken", ":1: broken JSON"),
        ("[1]", ":1: a line must be a JSON object"),
        ('{"answer": "x"}', ':1: "messages" must be'),
        ('{"messages": [{"role": "user"}], "answer": "x"}', ":1: a message has exactly"),
        ('{"messages": [{"role": "robot", "content": ""}], "answer": "x"}', ":1: a message's role"),
        ('{"messages": [{"role": "user", "content": "a"}], "answer": 3}', ':1: "answer" must be a text'),
        ('{"messages": [{"role": "user", "content": "a"}], "answer": "", "sample": -1}', ':1: "sample" is'),
        (
            '{"messages": [{"role": "user", "content": "a"}], "answer": "", "seconds": "x"}',
            ':1: "seconds" is',
        ),
        ('{"messages": [{"role": "user", "content": "a"}], "answer": "", "recorded": "x"}', "ISO 8601"),
        ('{"messages": [], "answer": "x"}', ":1: a question needs at least one message"),
    ],
)
def test_broken_recordings_name_the_line(tmp_path, line, complaint):
    path = tmp_path / "r.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=complaint) as caught:
        open_model(f"recorded:{path}")
    assert "\n" not in str(caught.value)


def test_missing_recordings(tmp_path):
    with pytest.raises(UsageError, match="shipped recordings are alfworld, bandits"):
        open_model("recorded:nothing")
    with pytest.raises(
        UsageError, match=r"needs a name \(alfworld, bandits, doorkey, frozenlake, kitchen, minigrid, navpick, react\)"
    ):
        open_model("recorded:")
    with pytest.raises(WeanError, match="is a folder"):
        open_model(f"recorded:{tmp_path}")
    with pytest.raises(UsageError, match="takes no option nonsense"):
        open_model("recorded:doorkey", nonsense=1)
    (tmp_path / "l.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        open_model(f"recorded:{tmp_path / 'l.jsonl'}")


def test_a_sample_recorded_twice_is_refused(tmp_path, ask):
    row = {"messages": ask("a"), "answer": "x", "sample": 0}
    with pytest.raises(UsageError, match=":2: sample 0 of this question is there twice"):
        open_model(write_rows(tmp_path / "r.jsonl", row, row))


# Scripted models.


def test_scripted_function_with_and_without_sample_number(ask):
    plain = scripted_model(lambda messages: messages[-1]["content"].upper())
    assert plain.generate([ask("a"), ask("b")])[1][0].text == "B"
    numbered = scripted_model(lambda messages, sample: f"{sample}")
    [answers] = numbered.generate([ask("a")], n=3, first_sample=2)
    assert [answer.text for answer in answers] == ["2", "3", "4"]


def test_early_stopping_gives_the_same_samples(ask):
    together = scripted_model(lambda messages, sample: f"{sample}")
    [all_] = together.generate([ask("a")], n=3)
    singly = scripted_model(lambda messages, sample: f"{sample}")
    one_by_one = [singly.generate([ask("a")], first_sample=i)[0][0] for i in range(3)]
    assert [answer.text for answer in one_by_one] == [answer.text for answer in all_]
    assert singly.counts == together.counts


def test_counts_tell_asked_replayed_and_distinct_apart(ask):
    model = scripted_model(lambda messages, sample: "12345678")
    model.generate([ask("abcd"), ask("abcd"), ask("b")], n=2)
    assert (model.counts.asked, model.counts.replayed, model.counts.distinct) == (4, 2, 2)
    assert model.counts.tokens == 4 * (1 + 2)
    model.generate([ask("abcd")])
    assert (model.counts.asked, model.counts.replayed, model.counts.distinct) == (4, 3, 2)


def test_counts_with_an_unknown_price_stay_unknown():
    counts = Counts()
    counts.add(Answer("a", cost_usd=0.5))
    assert counts.cost_usd == 0.5
    counts.add(Answer("a", cost_usd=None))
    counts.add(Answer("a", cost_usd=0.5))
    assert counts.cost_usd is None


def test_scripted_model_by_name(ask, monkeypatch):
    module = ModuleType("my_teacher")
    module.teach = lambda messages: "yes"
    monkeypatch.setitem(sys.modules, "my_teacher", module)
    model = open_model("scripted:my_teacher:teach")
    assert model.generate([ask("a")])[0][0].text == "yes"
    assert model.name == "scripted:my_teacher:teach"
    for name, line in (
        ("scripted:", "made in code with scripted_model"),
        ("scripted:my_teacher:nobody", "name a function that can be imported"),
        ("scripted:no_such_module_at_all:f", "name a function that can be imported"),
        ("scripted:my_teacher:__name__", "is not a function"),
    ):
        with pytest.raises(UsageError, match=line):
            open_model(name)


def test_a_scripted_model_must_return_text(ask):
    with pytest.raises(UsageError, match="must return a text, not int"):
        scripted_model(lambda messages: 3).generate([ask("a")])


def test_budgets(ask):
    answer = "x" * 400  # 100 tokens
    price = Price(0.0, 10_000.0)  # a cent a token written

    def model(**limits):
        return scripted_model(lambda messages: answer, price=price, budget=Budget(**limits))

    for limits in ({"calls": 0}, {"tokens": 0}, {"dollars": 0}):
        with pytest.raises(BudgetError, match="budget is 0"):
            model(**limits).generate([ask("a")])
    in_calls = model(calls=2)
    with pytest.raises(BudgetError, match="2 calls"):
        in_calls.generate([ask(f"{i}") for i in range(3)])
    in_tokens = model(tokens=1000)
    with pytest.raises(BudgetError, match="1000 tokens"):
        in_tokens.generate([ask(f"{i}") for i in range(30)], max_tokens=100)
    in_dollars = model(dollars=5.0)
    with pytest.raises(BudgetError, match=r"\$5 cannot hold"):
        in_dollars.generate([ask(f"{i}") for i in range(30)], max_tokens=100)
    assert in_dollars.ledger is not None
    with in_dollars.ledger.database.read() as connection:
        assert connection.execute("SELECT count(*), sum(cost_usd) FROM answers").fetchone() == (5, 5.0)
    with pytest.raises(UsageError, match="makes no sense"):
        Budget(tokens=-1)


def test_a_budget_never_overruns_with_many_threads(ask):
    budget = Budget(tokens=1000)
    model = scripted_model(lambda messages: "x" * 80, budget=budget, concurrency=8)
    with pytest.raises(BudgetError):
        model.generate([ask(f"{i}") for i in range(200)], max_tokens=100)
    assert 800 < budget.spent.tokens <= 1000


def test_what_the_budget_left_unasked_can_be_exported(ask, ledger):
    from wean.llm.transfer import ledger_stats

    model = scripted_model(lambda messages: "yes", budget=Budget(calls=3), ledger=ledger, concurrency=4)
    with pytest.raises(BudgetError):
        model.generate([ask(f"{i}") for i in range(10)])
    stats = ledger_stats(ledger)
    assert (stats["models"][0]["answers"], stats["unanswered"]) == (3, 7)


def test_progress_is_told(ask):
    told = []
    scripted_model(lambda m: "yes", progress=lambda done, all_: told.append((done, all_))).generate(
        [ask("a"), ask("b"), ask("a")]
    )
    assert told == [(1, 2), (2, 2)]


# Scores.


def test_scores_are_kept_whatever_the_order_of_candidates(ask):
    calls = []

    def score(messages, candidates):
        calls.append(candidates)
        return [-float(len(candidate)) for candidate in candidates]

    model = scripted_model(lambda messages: "", score=score)
    assert model.score([ask("a")], [["ccc", "a", "bb"]]) == [[-3.0, -1.0, -2.0]]
    assert model.score([ask("a")], [["bb", "ccc", "bb", "a"]]) == [[-2.0, -3.0, -2.0, -1.0]]
    assert len(calls) == 1
    model.score([ask("a")], [["a", "bb", "ccc"]], normalisation="token")
    assert len(calls) == 2
    assert model.counts.asked == 2


def test_wrong_use_of_score(ask):
    with pytest.raises(UsageError, match="cannot score candidates; use a local model"):
        scripted_model(lambda m: "").score([ask("a")], [["x"]])
    with pytest.raises(UsageError, match="cannot score"):
        open_model("recorded:doorkey").score([ask("a")], [["x"]])
    model = scripted_model(lambda m: "", score=lambda m, c: [0.0] * len(c))
    for candidates in ([[""]], [["a", ""]], [[]]):
        with pytest.raises(UsageError, match="a candidate is empty"):
            model.score([ask("a")], candidates)
    with pytest.raises(UsageError, match="as many lists"):
        model.score([ask("a")], [])
    with pytest.raises(UsageError, match="normalisation is"):
        model.score([ask("a")], [["x"]], normalisation="mean")


def test_recorded_scores(tmp_path, ask, ledger):
    from wean.llm.transfer import export_lines, open_output

    live = scripted_model(lambda m: "", score=lambda m, c: [-1.0, -2.0], ledger=ledger)
    live.score([ask("a")], [["x", "y"]])
    path = tmp_path / "scores.jsonl"
    with open_output(str(path)) as out:
        export_lines(ledger, out)
    recorded = open_model(f"recorded:{path}")
    assert recorded.score([ask("a")], [["y", "x"]]) == [[-2.0, -1.0]]
    with pytest.raises(WeanError, match="no scores for a question"):
        recorded.score([ask("a")], [["x", "z"]])
    assert len(recorded.unanswered) == 1


# Wrong questions.


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"n": 0}, "n must be"),
        ({"temperature": -1}, "temperature must be"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"top_p": 1.5}, "top_p must be"),
        ({"max_tokens": 0}, "max_tokens must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"first_sample": -1}, "first_sample must be"),
        ({"schema": {"x": object()}}, "plain JSON"),
    ],
)
def test_wrong_parameters(ask, parameters, line):
    with pytest.raises(UsageError, match=line):
        scripted_model(lambda m: "").generate([ask("a")], **parameters)


@given(st.text(), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_any_text_survives_the_ledger(question, answers):
    with Ledger(":memory:") as ledger:
        model = scripted_model(lambda m, sample: answers[sample], ledger=ledger)
        request = [{"role": "user", "content": question}]
        [live] = model.generate([request], n=len(answers))
        [replayed] = model.generate([request], n=len(answers))
        assert [a.text for a in live] == [a.text for a in replayed] == answers
        assert all(a.replayed for a in replayed)


# Local models, with a stand-in for `wean.lm`.


@dataclass
class FakeText:
    text: str
    prompt_tokens: int
    completion_tokens: int
    ended: bool = True


class FakeLocal:
    identity = "tiny@sha256:abc"

    def __init__(self):
        self.calls = []

    def generate(self, requests, n, *, temperature, top_p, max_tokens, seed):
        self.calls.append((len(requests), n, seed))
        return [[FakeText(f"{request[-1]['content']}/{seed}/{i}", 5, 2) for i in range(n)] for request in requests]

    def score_batch(self, requests, candidates_lists, normalisation):
        self.calls.append((len(requests), normalisation))
        return [[-float(len(text)) for text in candidates] for candidates in candidates_lists]


@pytest.fixture
def local(monkeypatch):
    fake, module, opened = FakeLocal(), ModuleType("wean.lm.model"), []

    def load_model(name, **options):
        opened.append((name, options))
        return fake

    module.load_model = load_model
    fake.opened = opened
    monkeypatch.setitem(sys.modules, "wean.lm.model", module)
    return fake


def test_local_model_answers_in_batches(local, ledger, ask):
    model = open_model("hf:tiny", ledger=ledger, batch_size=4, device="cpu")
    assert local.opened == []
    answers = model.generate([ask("a"), ask("b")], n=3)
    assert local.opened == [("tiny", {"device": "cpu"})]
    assert model.identity == "tiny@sha256:abc"
    assert [a.text for a in answers[0]] == ["a/None/0", "a/None/1", "a/None/2"]
    # Six samples in chunks of four: a whole question and a part of the next, then the rest.
    assert local.calls == [(1, 3, None), (1, 1, None), (1, 2, None)]
    assert (model.counts.tokens, model.counts.cost_usd) == (6 * 7, 0.0)
    assert not answers[0][0].tokens_estimated


def test_local_samples_with_a_seed_do_not_depend_on_grouping(local, ask, tmp_path):
    with Ledger(tmp_path / "1") as one, Ledger(tmp_path / "2") as other:
        [together] = open_model("hf:tiny", ledger=one).generate([ask("a")], n=3, seed=10)
        model = open_model("hf:tiny", ledger=other)
        singly = [model.generate([ask("a")], seed=10, first_sample=i)[0][0] for i in range(3)]
    assert [a.text for a in together] == [a.text for a in singly] == ["a/10/0", "a/11/0", "a/12/0"]


def test_a_local_answer_that_is_cut_in_its_thoughts_is_none(local, ledger, ask, monkeypatch):
    texts = {"a": FakeText("<think>Well, ", 5, 8, ended=False), "b": FakeText("go on and", 5, 8, ended=False)}
    monkeypatch.setattr(local, "generate", lambda requests, n, **_: [[texts[one[-1]["content"]]] for one in requests])
    model = open_model("hf:tiny", ledger=ledger, max_tokens=8)
    with pytest.raises(WeanError, match=r"1 answer\(s\) of hf:tiny were cut off at max_tokens=8 before they said any"):
        model.generate([ask("a"), ask("b")])
    assert (model.counts.refused, model.counts.tokens) == (1, 13)
    [[kept]] = model.generate([ask("b")])
    assert (kept.text, kept.replayed, kept.finish_reason) == ("go on and", True, "length")


def test_local_scores(local, ledger, ask):
    model = open_model("hf:tiny", ledger=ledger)
    scores = model.score([ask("a"), ask("b")], [["x", "yy"], ["zzz"]], normalisation="word")
    assert scores == [[-1.0, -2.0], [-3.0]]
    assert local.calls == [(2, "word")]
    assert model.score([ask("b")], [["zzz"]], normalisation="word") == [[-3.0]]
    assert len(local.calls) == 1


def test_local_wrong_use(ledger):
    with pytest.raises(UsageError, match="hf: needs a directory"):
        open_model("hf:", ledger=ledger)
    with pytest.raises(UsageError, match=r"option batch_size: .*greater than or equal to 1"):
        open_model("hf:tiny", ledger=ledger, batch_size=0)


def test_unknown_options_are_named(ledger):
    with pytest.raises(UsageError, match=r"hf:tiny takes no option nonsense; it takes .*batch_size, device, dtype"):
        open_model("hf:tiny", ledger=ledger, nonsense=1)
    with pytest.raises(UsageError, match="takes no option nonsense"):
        open_model("scripted:json:dumps", nonsense=1)


# What must not get lost.


@pytest.mark.parametrize("concurrency", [1, 3])
def test_ctrl_c_keeps_what_was_answered_and_claims_nothing(ask, ledger, concurrency):
    def answer(messages):
        if messages[-1]["content"] == "5":
            raise KeyboardInterrupt
        return "yes"

    model = scripted_model(answer, ledger=ledger, concurrency=concurrency)
    with pytest.raises(KeyboardInterrupt):
        model.generate([ask(f"{i}") for i in range(20)])
    with ledger.database.read() as connection:
        stored, claims = connection.execute(
            "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM claims)"
        ).fetchone()
    assert 5 <= stored < 20
    assert claims == 0


def test_half_a_character_is_stored_as_a_mark(ask):
    model = scripted_model(lambda messages: "cut \ud83d")
    assert model.generate([ask("a")])[0][0].text == model.generate([ask("a")])[0][0].text == "cut ?"
    with pytest.raises(UsageError, match="half a character"):
        model.generate([ask("\ud83d")])


def test_closing_closes_only_ones_own_ledger(ask, ledger):
    with scripted_model(lambda m: "yes", ledger=ledger) as model:
        model.generate([ask("a")])
    assert ledger.find([]) == {}
    with scripted_model(lambda m: "yes") as model:
        model.generate([ask("a")])
    with pytest.raises(WeanError, match="closed"):
        model.generate([ask("a")])


@pytest.mark.slow
def test_the_real_small_model(tmp_path, ask):
    pytest.importorskip("transformers")
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = open_model("hf:smollm2-135m", ledger=ledger)
        try:
            assert model.identity.startswith("smollm2-135m@sha256:")
        except WeanError as error:
            # The weights are a download of their own, and no part of this repository.
            pytest.skip(f"not fetched: {error}")
        answers = model.generate([ask("Say hi."), ask("What is 2+2?")], n=2, max_tokens=8, seed=5)
        [[alone]] = open_model("hf:smollm2-135m", ledger=Ledger(":memory:")).generate(
            [ask("Say hi.")], max_tokens=8, seed=5, first_sample=1
        )
        assert alone.text == answers[0][1].text
        [[paris, banana]] = model.score([ask("What is the capital of France?")], [["Paris", "banana"]])
        assert 0 >= paris > banana
        assert model.counts.cost_usd == 0.0

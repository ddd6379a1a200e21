import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wean.cli import app
from wean.data.decisions import Decision, read_decisions, split_sessions, write_decisions
from wean.data.messages import parse_conversation
from wean.errors import UsageError
from wean.llm import Ledger, scripted_model
from wean.tasks.situation import Situation
from wean.teachers.logged_answers import write_answer
from wean.teachers.logged_prompts import LogMapping, PromptReader, read_mapping
from wean.teachers.logs import decisions_of, read_logs

LISTED = "You see a door.\n\nThe choices are:\n- open the door\n- wait"
TOOL = {
    "type": "function",
    "function": {
        "name": "route",
        "parameters": {
            "type": "object",
            "properties": {"queue": {"type": "string", "enum": ["billing", "technical"]}, "why": {"type": "string"}},
            "required": ["queue"],
        },
    },
}


def request(user, answer, **about):
    messages = [{"role": "system", "content": "Choose."}, {"role": "user", "content": user}]
    message = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    return {"request": {"model": "m", "messages": messages}, "response": {"choices": [{"message": message}]}, **about}


def call(name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def found_in(*rows, **mapping):
    return decisions_of([parse_conversation(row) for row in rows], LogMapping(**mapping))


def test_a_list_of_choices_and_an_answer_in_json_are_a_decision():
    text = 'First <think>no</think> {"choices": [{"choice": "wait", "probability": 0.75}, {"choice": "open the door"}]}'
    answer = text.replace('"open the door"}', '"open the door", "probability": 0.25}')
    (one,) = found_in(request(LISTED, answer, session="s", cost_usd=0.5, seconds=2)).decisions
    assert (one.session, one.goal, one.text) == ("s", "Choose.", "You see a door.")
    assert one.choices == ("open the door", "wait")
    assert one.weights == (0.25, 0.75)
    assert (one.form, one.cost_usd, one.seconds) == ("choices", 0.5, 2.0)


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ('{"action": "wait"}', "json:action"),
        ("Thought: patience.\nAction: wait", "line:Action: {choice}"),
        ("Wait.", "text"),
        ('{"choice": "wait"}', "json:choice"),
    ],
)
def test_answers_are_read_and_written_in_their_form(answer, form):
    (one,) = found_in(request(LISTED, answer)).decisions
    assert one.choices[one.answer] == "wait"
    assert one.form == form
    prompt = PromptReader().read(parse_conversation(request(LISTED, answer)).messages[:-1])
    written = write_answer(form, prompt, one.weights)
    (again,) = found_in(request(LISTED, written)).decisions
    assert (again.weights, again.form) == (one.weights, form)


def test_calls_of_tools_with_an_enumerated_argument_need_no_mapping():
    row = request("My bill is wrong.", call("route", {"queue": "billing", "why": "money"}))
    row["request"]["tools"] = [TOOL]
    (one,) = found_in(row).decisions
    assert (one.choices, one.answer, one.form) == (("billing", "technical"), 0, "tool")
    prompt = PromptReader().read(parse_conversation(row).messages[:-1], [TOOL])
    written = write_answer("tool", prompt, (0.1, 0.9))
    assert json.loads(written["tool_calls"][0]["function"]["arguments"]) == {"queue": "technical"}


def test_tools_with_free_arguments_are_no_choice():
    free = {"type": "function", "function": {"name": "say", "parameters": {"properties": {"text": {"type": "string"}}}}}
    row = request("Hello", call("say", {"text": "hi"}))
    row["request"]["tools"] = [TOOL, free]
    assert not found_in(row).decisions


def test_every_turn_of_a_conversation_counts_once():
    turns = [
        {"role": "user", "content": LISTED},
        {"role": "assistant", "content": "wait"},
        {"role": "user", "content": LISTED.replace("a door", "a wall"), "reward": 1},
        {"role": "assistant", "content": "open the door"},
    ]
    found = found_in({"messages": turns[:2], "session": "a"}, {"messages": turns, "session": "a", "reward": 3})
    assert [(one.text, one.answer, one.step) for one in found.decisions][-1] == ("You see a wall.", 0, 2)
    again = found_in({"messages": turns, "session": "a", "reward": 3}, {"messages": turns, "session": "a"})
    assert [one.reward for one in again.decisions[:2]] == [1.0, 3.0]
    assert again.passed_over["repeated earlier turns"] == 1


def test_what_cannot_be_used_is_counted_and_the_rest_is_used():
    found = found_in(request("Write a poem.", "Roses"), request(LISTED, "open the window"), request(LISTED, "wait"))
    assert len(found.decisions) == 1
    assert found.passed_over == {
        "answers to prompts without choices": 1,
        "answers that name none of the choices": 1,
    }


def test_decisions_without_session_on_one_situation_stay_together():
    rows = [request(LISTED.replace("a door", f"door {n % 5}"), "wait") for n in range(20)]
    found = found_in(*rows)
    assert found.without_session == 20
    assert len({one.session for one in found.decisions}) == 5


def test_no_session_stands_on_both_sides(tmp_path):
    rows = [request(LISTED, "wait", session=f"s{n // 3}") for n in range(30)]
    split = split_sessions(found_in(*rows).decisions, 0.3)
    sides = [{one.session for one in side} for side in (split.train, split.held_out)]
    assert [len(side) for side in sides] == [7, 3]
    assert not sides[0] & sides[1]
    write_decisions(tmp_path / "d.parquet", split)
    assert read_decisions(tmp_path / "d.parquet") == split


def test_a_mapping_says_where_things_stand(tmp_path):
    file = tmp_path / "mapping.yaml"
    file.write_text(
        "choices: [refund, ignore]\nsituation: 'Mail: (.*)'\nanswer: 'DECISION=(\\w+)'\nsession: metadata.customer\n"
        "reward: metadata.stars\n"
    )
    row = request("Mail: give it back\nBye", "I think DECISION=refund!", metadata={"customer": 7, "stars": 4})
    (one,) = decisions_of([parse_conversation(row)], read_mapping(str(file))).decisions
    assert (one.session, one.text, one.answer, one.reward) == ("7", "give it back", 0, 4.0)
    assert one.form == "line:DECISION={choice}"


def understand(messages):
    return Situation("Sort.", messages[-1].text.upper(), ("a", "b")) if messages[-1].role == "user" else None


def test_a_function_says_where_things_stand():
    (one,) = decisions_of([parse_conversation(request("x", "b"))], read_mapping(f"{__name__}:understand")).decisions
    assert (one.goal, one.text, one.answer) == ("Sort.", "X", 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("choices: '(unclosed'", "no regular expression"),
        ("situation: nothing", "has no group"),
        ("chioces: [a, b]", "chioces"),
    ],
)
def test_wrong_mappings_end_in_one_line(tmp_path, text, says):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(UsageError, match=says):
        PromptReader(read_mapping(str(tmp_path / "m.yaml")))


def test_a_mapping_that_matches_nothing_says_what_was_there(tmp_path):
    (tmp_path / "log.jsonl").write_text(json.dumps(request(LISTED, "wait")) + "\n")
    with pytest.raises(UsageError, match="1 answers to prompts without choices"):
        read_logs([tmp_path / "log.jsonl"], LogMapping(choices="Never: (.*)"))


def test_a_ledger_is_a_log(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        model = scripted_model(lambda messages: "wait", name="seer", ledger=ledger)
        model.generate([[{"role": "user", "content": LISTED}]])
    (one,) = read_logs([tmp_path / "ledger.sqlite"]).decisions
    assert (one.text, one.answer) == ("You see a door.", 1)


def test_a_log_comes_with_wean_and_a_file_of_its_name_takes_precedence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_logs([Path("kitchen")])
    assert not found.passed_over
    assert (len(found.decisions), len({one.session for one in found.decisions})) == (8088, 800)
    Path("kitchen").write_text(json.dumps(request(LISTED, "wait")) + "\n")
    assert len(read_logs([Path("kitchen")]).decisions) == 1


def test_the_agent_data_protocol_is_a_log():
    content = [
        {"class_": "text_observation", "content": LISTED, "source": "user"},
        {"class_": "message_action", "content": "wait"},
    ]
    (one,) = found_in({"id": "x", "content": content}).decisions
    assert one.choices[one.answer] == "wait"


def test_the_command_writes_decisions_and_a_page(tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "d.parquet"
    rows = [request(LISTED, "wait" if n % 4 else "open the door", session=f"s{n}") for n in range(20)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"messages": [{"ro')
    told = CliRunner().invoke(app, ["logs", str(log), "--out", str(out), "--json"])
    about = json.loads(told.stdout)
    assert (about["decisions"], about["situations"], about["contradicted"]) == (20, 1, 1.0)
    assert about["majority"] == 0.75
    assert "open the door" in out.with_suffix(".html").read_text()


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match="wean logs"):
        read_decisions(tmp_path / "none.parquet")
    sound = Decision("s", 0, "k", "text", "g", "t", ("a", "b"), (0.5, 0.5))
    write_decisions(tmp_path / "d.parquet", split_sessions([sound], 0.3))
    assert read_decisions(tmp_path / "d.parquet").train == (sound,)

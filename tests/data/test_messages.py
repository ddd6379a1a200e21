"""Message logs of every form are read as the same conversations, and conversations as demonstrations."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wean.data.message_paths import paths_of
from wean.data.messages import Call, parse_conversation, read_conversations
from wean.data.trajectories import read_trajectories, write_paths
from wean.errors import UsageError, WeanError

TASK = "You are in a hall. Put the cup on the shelf."
CALL = {"type": "function", "function": {"name": "act", "arguments": '{"action": "take the cup"}'}}
OPENAI = {
    "id": "a",
    "messages": [
        {"role": "system", "content": "You are at home here."},
        {"role": "user", "content": [{"type": "text", "text": TASK}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "You hold the cup."},
        {"role": "assistant", "content": "I am done."},
    ],
    "tools": [{"type": "function", "function": {"name": "act"}}],
    "cost": 0.25,
}
REACT = "<think>Action: wait</think>Thought: the cup is here.\n**Action:** take the cup\n"
PROTOCOL = {
    "schema_version": "1.5.0",
    "id": "b",
    "content": [
        {"class_": "text_observation", "content": "Is all clear?", "source": "user"},
        {"class_": "message_action", "content": "It is.", "description": None},
        {"class_": "text_observation", "content": TASK, "source": "user", "name": None},
        {"class_": "api_action", "function": "take", "kwargs": {"item": '"the cup"'}, "description": "First the cup."},
        {"class_": "text_observation", "content": "You hold the cup.", "source": "environment", "reward": 0.5},
        {"class_": "api_action", "function": "put", "kwargs": {"item": "the cup", "place": "the shelf"}, "reward": 0.5},
        {"class_": "message_action", "content": "<finish>"},
    ],
    "details": {},
}


def rows(path: Path, *found: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def actions(row: dict[str, Any], **options: Any) -> list[str]:
    found, _ = paths_of(read_one(row), "home", **options)
    return [step["action"] for step in found[0]["path"]]


def read_one(row: dict[str, Any]) -> list[Any]:
    return [parse_conversation(row)]


def test_an_openai_log(tmp_path: Path) -> None:
    found, problems = read_conversations(rows(tmp_path / "log.jsonl", OPENAI, {"text": "no conversation"}))
    assert [one.name for one in found] == ["a"]
    assert problems == [
        f"{tmp_path}/log.jsonl:2: a row needs messages, request and response, prompt and completion, conversations, or "
        "content of the agent-data-protocol; left out"
    ]
    assert [message.role for message in found[0].messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert found[0].messages[1].text == TASK
    assert found[0].messages[2].calls == (Call("act", {"action": "take the cup"}),)
    assert found[0].tools[0]["function"] == {"name": "act"}
    assert found[0].about == {"id": "a", "cost": 0.25}


def test_a_logged_request_and_its_response(tmp_path: Path) -> None:
    request = {"model": "m", "messages": OPENAI["messages"][:2]}
    response = {"choices": [{"message": {"role": "assistant", "content": "take the cup", "reasoning_content": "Hm."}}]}
    row = {"request": request, "response": response, "seconds": 0.5}
    (one,) = read_conversations(rows(tmp_path / "log.jsonl", row)).found
    assert [message.text for message in one.messages] == ["You are at home here.", TASK, "take the cup"]
    assert one.messages[-1].thoughts == "Hm."
    assert one.about.items() >= {"model": "m", "seconds": 0.5}.items()


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": TASK, "completion": "take the cup"},
        {"prompt": [{"role": "user", "content": TASK}], "completion": [{"role": "assistant", "content": REACT}]},
        {"conversations": [{"from": "human", "value": TASK}, {"from": "gpt", "value": "take the  cup\n"}]},
        OPENAI,
    ],
)
def test_every_form_gives_the_same_demonstration(row: dict[str, Any]) -> None:
    found, problems = paths_of(read_one(row), "home")
    assert problems == []
    assert found[0]["description"] == TASK
    assert [step["action"] for step in found[0]["path"]] == ["take the cup"]


def test_the_agent_data_protocol_as_demonstrations(tmp_path: Path) -> None:
    file = tmp_path / "std.json"
    file.write_text(json.dumps([PROTOCOL, PROTOCOL | {"id": "c"}]))
    words = {"take": "take {item}", "put": "put {item} on {place}"}
    made, problems = paths_of(read_conversations(file).found, "home", words)
    assert problems == []
    write_paths(tmp_path / "home.parquet", made, {})
    first, second = read_trajectories(tmp_path / "home.parquet").found
    assert (first.key, second.key) == (("home", 0), ("home", 1))
    assert first.description == TASK  # the talk before it is no part of the episode
    assert first.actions == ("take the cup", "put the cup on the shelf")
    assert [step.observation for step in first.path] == ["You hold the cup.", ""]
    assert [step.score for step in first.path] == [0.5, 1.0]


def test_calls_without_words_of_their_own_are_said_by_name_and_values() -> None:
    assert actions(PROTOCOL) == ["take the cup", "put the cup the shelf"]
    code = {"class_": "code_action", "language": "bash", "content": "ls -l\ncat a"}
    assert actions(PROTOCOL | {"content": [PROTOCOL["content"][2], code]}) == ["ls -l cat a"]


def test_words_that_do_not_fit_a_call_leave_its_conversation_out() -> None:
    with pytest.raises(UsageError, match=r"take is to be said as 'take \{thing\}', but was called with item"):
        paths_of(read_one(PROTOCOL), "home", {"take": "take {thing}"})


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role is one of"),
        ({"messages": ["x"]}, "object with role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "more than text"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": 1}]}]}, "function with a name"),
        ({"content": [{"class_": "image_observation", "content": "a.png"}]}, "nothing in words"),
        ({"content": "text"}, "a row needs"),
        ({"conversations": [{"from": "nobody", "value": "x"}]}, "role is one of"),
    ],
)
def test_rows_that_hold_no_conversation(tmp_path: Path, row: object, why: str) -> None:
    with pytest.raises(UsageError, match=why) as error:
        read_conversations(rows(tmp_path / "log.jsonl", row))
    assert "\n" not in str(error.value)


def test_parquet_and_packed_files(tmp_path: Path) -> None:
    plain = [{"role": "user", "content": TASK}, {"role": "assistant", "content": "take the cup"}]
    pq.write_table(pa.Table.from_pylist([{"messages": plain, "prompt": None}]), tmp_path / "log.parquet")
    with gzip.open(tmp_path / "log.jsonl.gz", "wt") as packed:
        packed.write(json.dumps({"messages": plain}))
    of_parquet = read_conversations(tmp_path / "log.parquet").found
    assert of_parquet[0].messages == read_conversations(tmp_path / "log.jsonl.gz").found[0].messages


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_text("no Parquet")
    with pytest.raises(WeanError, match="damaged"):
        read_conversations(tmp_path / "log.parquet")
    for name in ("none.parquet", "none.json", "none.jsonl"):
        with pytest.raises(WeanError, match="check the name"):
            read_conversations(tmp_path / name)


def test_an_episode_without_a_task_is_no_demonstration() -> None:
    with pytest.raises(UsageError, match="nothing is said before its first action"):
        paths_of(read_one({"messages": [{"role": "assistant", "content": "go"}]}), "home")
    with pytest.raises(UsageError, match="no action"):
        paths_of(read_one({"messages": [{"role": "user", "content": "go"}]}), "home")

"""A served student acts as one in the hand; what nobody should send is refused in one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from exported_students import corridor_situation
from small_tasks import Corridor
from wean.runtime import load
from wean.runtime.server.app import add_front, guarded, make_app
from wean.runtime.server.kinds import ArrayEpisode
from wean.runtime.server.limits import Limits
from wean.runtime.server.sessions import Refused, Sessions

Client = Callable[..., TestClient]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(exported: Any) -> Client:
    """A client of a server of its own."""

    def of(name: str, acting: str | None = None, token: str | None = None, **limits: int) -> TestClient:
        app = make_app(load(exported(name), acting), Limits(**limits))
        add_front(app)
        return TestClient(guarded(app, token), base_url="http://127.0.0.1", raise_server_exceptions=False)

    return of


def begun(client: TestClient, seed: int | None = None) -> str:
    answer = client.post("/sessions", json={"seed": seed})
    assert answer.status_code == 201
    return str(answer.json()["session"])


def maps(exported: Any, count: int = 20) -> Any:
    return np.load(exported("grid") / "example.npy")[:count]


@pytest.mark.parametrize("acting", ["sampled", "greedy", "no_repeat"])
@pytest.mark.parametrize("name", ["grid", "memory"])
def test_a_session_acts_as_the_student_does_for_the_same_seed(
    exported: Any, client: Client, name: str, acting: str
) -> None:
    policy, server = load(exported(name), acting), client(name, acting)
    seen = list(np.load(exported(name) / "example.npy")) * 2
    for seed in (1, 2):
        policy.reset(seed)
        session = begun(server, seed)
        served = [server.post("/act", json={"session": session, "observation": one.tolist()}).json() for one in seen]
        assert [one["action"] for one in served] == [policy.act(one) for one in seen]


def test_sessions_side_by_side_act_as_each_alone(exported: Any, client: Client) -> None:
    policy, server = load(exported("memory"), "sampled"), client("memory", "sampled")
    seen = np.random.default_rng(0).uniform(-1, 1, (6, 3, 1)).astype(np.float32)
    names = [begun(server, seed) for seed in range(3)]
    starts = [[step == 4 and member == 1 for member in range(3)] for step in range(6)]
    together = [
        server.post("/act", json={"sessions": names, "observations": row.tolist(), "starts": begins}).json()["actions"]
        for row, begins in zip(seen, starts, strict=True)
    ]
    for member in range(3):
        policy.reset(member)
        alone = []
        for step in range(6):
            if starts[step][member]:
                policy.reset()  # another episode; the draws go on
            alone.append(policy.act(seen[step, member]))
        assert [row[member] for row in together] == alone


def test_many_observations_without_sessions_and_with_a_seed(exported: Any, client: Client) -> None:
    server, seen = client("grid", "sampled"), maps(exported)
    asked = {"observations": seen.tolist(), "seed": 5, "probabilities": True}
    first, second = (server.post("/act", json=asked).json() for _ in range(2))
    assert first == second
    policy = load(exported("grid"), "sampled")
    policy.reset(5, members=len(seen))
    assert first["actions"] == policy.act(seen).tolist()
    assert first["names"] == [policy.actions[number] for number in first["actions"]]
    assert np.allclose(np.sum(first["probabilities"], 1), 1)


def test_a_student_of_action_values_reads_situations(client: Client) -> None:
    server = client("table")
    one = corridor_situation(1)
    shown = {"text": one.text, "choices": list(one.choices)}
    told = server.post("/act", json={"observation": shown}).json()
    assert told["name"] == one.choices[told["action"]]
    many = server.post("/act", json={"observations": [shown] * 3}).json()
    assert many["actions"] == [told["action"]] * 3


def test_a_student_that_remembers_wants_a_session(client: Client) -> None:
    answer = client("memory").post("/act", json={"observation": [0.5]})
    assert answer.status_code == 409
    assert "POST /sessions" in answer.json()["error"]


def test_a_session_ends_expires_and_is_bounded() -> None:
    now = 0.0
    limits = Limits(session_seconds=10, episode_steps=3)
    sessions = Sessions(limits, lambda: ArrayEpisode(0, True), most=2, room=100, clock=lambda: now)
    first, second = sessions.begin(None), sessions.begin(None)
    with pytest.raises(Refused, match="2 sessions already"):
        sessions.begin(None)
    now = 8.0
    for _ in range(3):
        sessions.count(sessions.use(first), 1)
    with pytest.raises(Refused, match="3 steps already"):
        sessions.use(first)
    sessions.restart(sessions.use(first, start=True))
    sessions.count(sessions.use(first), 99)
    sessions.count(sessions.use(first), 1)
    with pytest.raises(Refused, match="remember too much"):
        sessions.use(first)
    now = 11.0
    assert len(sessions) == 1  # the second was not used since it began
    with pytest.raises(Refused, match="no such session"):
        sessions.use(second)
    sessions.end(first)
    assert len(sessions) == 0
    assert sessions.use(sessions.begin(None)).steps == 0  # what ended is remembered no longer


def test_a_refused_request_changes_nothing(exported: Any, client: Client) -> None:
    server, seen = client("memory", "sampled"), [[0.3], [0.9], [-0.5]]
    policy = load(exported("memory"), "sampled")
    policy.reset(1)
    session = begun(server, 1)
    for one in seen:
        bad = {"sessions": [session, "nobody"], "observations": [one, one], "starts": [True, True]}
        assert server.post("/act", json=bad).status_code == 404
        assert server.post("/act", json={"session": session, "observation": [1, 2], "start": True}).status_code == 422
        told = server.post("/act", json={"session": session, "observation": one})
        assert told.json()["action"] == policy.act(np.array(one, np.float32))


BAD: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[" * 100_000, 400),
    (b'{"observation": ' + b"[" * 300_000, 400),
    (b"\xff\xfe", 400),
    (b"null", 422),
    (b"[]", 422),
    (b"3", 422),
    (b'"text"', 422),
    (b"{}", 422),
    (b'{"observation": null}', 422),
    (b'{"observation": NaN}', 422),
    (b'{"observation": 1e999}', 422),
    (b'{"observation": ' + b"9" * 5_000 + b"}", 400),
    (b'{"observation": "../../etc/passwd"}', 422),
    (b'{"observation": {"image": "/etc/passwd"}}', 422),
    (b'{"observation": true}', 422),
    (b'{"observation": {}}', 422),
    (b'{"observation": {"image": {"image": 1}}}', 422),
    (b'{"observations": [1, {}]}', 422),
    (b'{"observation": [[1, 2], [3]]}', 422),
    (b'{"observation": [[[]]]}', 422),
    (b'{"observation": [1, "2"]}', 422),
    (b'{"observation": [null]}', 422),
    (b'{"observations": []}', 422),
    (b'{"observations": 3}', 422),
    (b'{"observations": [1, 2], "sessions": ["a"]}', 422),
    (b'{"observations": [1, 2], "sessions": ["a", "a"]}', 422),
    (b'{"observations": [1, 2], "starts": [true]}', 422),
    (b'{"observations": [1], "observation": 1}', 422),
    (b'{"observation": 1, "starts": [true]}', 422),
    (b'{"observation": 1, "seed": -1}', 422),
    (b'{"observation": 1, "seed": 1.5}', 422),
    (b'{"observation": 1, "seed": true}', 422),
    (b'{"observation": 1, "seed": 99999999999999999999}', 422),
    (b'{"observation": 1, "folder": "/etc"}', 422),
    (b'{"observation": 1, "session": 3}', 422),
    (b'{"observation": 1, "session": "' + b"a" * 100 + b'"}', 422),
    (b'{"observation": 1, "probabilities": "yes"}', 422),
]


@pytest.mark.parametrize(("body", "status"), BAD, ids=range(len(BAD)))
def test_what_is_no_request_is_refused_in_one_line(client: Client, body: bytes, status: int) -> None:
    answer = client("grid", "sampled").post("/act", content=body, headers=JSON)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error
    assert "\n" not in error
    assert "Traceback" not in error


def test_what_a_student_does_not_see_is_refused(exported: Any, client: Client) -> None:
    server, seen = client("grid", "sampled"), maps(exported, 1)[0]
    for wrong in (seen[:5], seen - 1.5, seen.astype(float), seen * 0, seen.astype(int) + 300, seen.astype(int) - 1):
        answer = server.post("/act", json={"observation": wrong.tolist()})
        assert answer.status_code == 422, wrong
    memory = client("memory")
    session = begun(memory)
    for wrong in ("[1e39]", "[1e400]", "[NaN]", "[-1.5]"):
        body = f'{{"session": "{session}", "observation": {wrong}}}'
        assert memory.post("/act", content=body, headers=JSON).status_code in (400, 422)
    words = client("table")
    for wrong in (1, [], {"text": "a"}, {"text": 1, "choices": ["a"]}, {"text": "a", "choices": []}, {"choices": "a"}):
        assert words.post("/act", json={"observation": wrong}).status_code == 422
    many = {"text": "a", "choices": [str(number) for number in range(2_000)]}
    assert "at most" in words.post("/act", json={"observation": many}).json()["error"]


def test_large_bodies_and_batches_are_refused(exported: Any, client: Client) -> None:
    server = client("grid", "sampled", body_bytes=20_000, batch=3)
    assert server.post("/act", content=b" " * 30_000, headers=JSON).status_code == 413
    chunks: Iterator[bytes] = iter([b" " * 1_000] * 30)
    assert server.post("/act", content=chunks, headers=JSON).status_code == 413
    assert server.post("/act", json={"observations": maps(exported, 3).tolist()}).status_code == 200
    answer = server.post("/act", json={"observations": maps(exported, 4).tolist()})
    assert answer.json() == {"error": "there are 4 observations; give 1 to 3"}


def test_methods_types_and_paths(client: Client) -> None:
    server = client("grid")
    assert server.get("/act").status_code == 405
    assert server.put("/act").status_code == 405
    assert server.post("/act", content=b"{}").status_code == 415
    assert server.post("/sessions", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    for path in ("/etc/passwd", "/..%2f..%2fetc/passwd", "/act/", "/sessions/..%2f", "/static", "/%00"):
        assert server.get(path).status_code in (404, 405), path
    assert server.delete("/sessions/..%2f..%2fetc").status_code == 404
    assert server.delete("/sessions/nobody").status_code == 404
    assert server.get("/", follow_redirects=False).headers["location"] == "/docs"


def test_a_token_is_wanted_and_never_shown(client: Client) -> None:
    server = client("table", token="s3cret")
    right = {"authorization": "Bearer s3cret"}
    for path in ("/student", "/metrics"):
        for wrong in ({}, {"authorization": "Bearer s3cre"}, {"authorization": "s3cret"}, {"authorization": "Bearer"}):
            answer = server.get(path, headers=wrong)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "s3cret" not in answer.text
        assert server.get(path, headers=right).status_code == 200
    assert server.post("/sessions", json={}).status_code == 401
    assert server.post("/", json={}).status_code == 401
    assert server.post("/sessions", json={}, headers=right).status_code == 201
    assert {server.get(path).status_code for path in ("/health", "/docs", "/openapi.json")} == {200}
    assert server.get("/health", headers={"host": "a.example"}).status_code == 200


def test_without_a_token_pages_of_other_names_are_kept_out(client: Client) -> None:
    server = client("table")
    for host in ("evil.example", "127.0.0.1.evil.example", "", "evil.example:8000"):
        assert server.get("/health", headers={"host": host}).status_code == 400
    for host in ("localhost:8000", "127.0.0.1", "[::1]:9"):
        assert server.get("/health", headers={"host": host}).status_code == 200


def test_counts_are_told_and_do_not_grow_with_paths(client: Client) -> None:
    server = client("table")
    one = corridor_situation(1)
    shown = {"text": one.text, "choices": list(one.choices)}
    server.post("/act", json={"observations": [shown] * 3})
    begun(server)
    for number in range(50):
        server.get(f"/{number}")
        server.delete(f"/sessions/{number}")
    text = server.get("/metrics").text
    assert "wean_actions_total 3.0" in text
    assert "wean_sessions 1.0" in text
    assert 'wean_requests_total{path="other",status="404"} 50.0' in text
    assert 'wean_requests_total{path="/sessions/...",status="404"} 50.0' in text


def test_the_interface_is_described(client: Client) -> None:
    server = client("grid")
    described = server.get("/openapi.json").json()
    act = described["paths"]["/act"]["post"]
    fields = act["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"observation", "observations", "session", "sessions", "start", "starts", "seed"} <= set(fields)
    assert {"200", "401", "409", "413", "422"} <= set(act["responses"])
    assert {"/sessions", "/health", "/metrics", "/student"} <= set(described["paths"])
    page = server.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert server.get("/student").json()["observation"] == {"shape": [10, 10, 4], "dtype": "uint8"}


def test_an_observation_from_json_is_the_one_that_the_task_gave(exported: Any) -> None:
    observations = load(exported("grid"), "greedy").observations  # type: ignore[union-attr]
    for one in maps(exported):
        assert (observations.read([json.loads(json.dumps(one.tolist()))] * 2) == one).all()
        assert (observations.read([{"image": one.tolist()}]) == one).all()
    assert Corridor.observation_space.contains(0)


def test_an_exported_folder_is_served_without_torch(exported: Any) -> None:
    told = (
        "import sys; from pathlib import Path; import wean.cli.serve, wean.serving.serve as serving;"
        "from wean.runtime.server.app import make_app; from wean.runtime import load;"
        "serving.exported(Path(sys.argv[1]), None, print).__enter__(); make_app(load(sys.argv[1]));"
        "print([name for name in ('torch', 'gymnasium') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", told, str(exported("grid"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip() == "[]"

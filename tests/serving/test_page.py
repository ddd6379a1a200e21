"""A person plays beside the student: in this process, and in a real browser before a real server."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from exported_students import kind
from serving.browser import CHROMIUM, browsing
from serving.real_server import serving
from small_tasks import Corridor
from wean.errors import UsageError
from wean.runtime import load
from wean.runtime.server.app import guarded, make_app
from wean.runtime.server.limits import Limits
from wean.runtime.server.service import Service
from wean.serving.games import MOST_GAMES, Games
from wean.serving.page import add_page
from wean.tasks.registration import make_task


@pytest.fixture(scope="module")
def client(exported: Any) -> Iterator[TestClient]:
    app = make_app(load(exported("grid"), "greedy"))
    assert add_page(app, "exported", None) is None
    with TestClient(guarded(app), base_url="http://127.0.0.1") as found:
        yield found


def test_both_begin_alike_and_go_their_own_ways(client: TestClient) -> None:
    told = client.post("/play", json={"seed": 7}).json()
    person, student = told["person"], told["student"]
    assert person["picture"] == student["picture"]
    assert person["picture"].startswith("data:image/png;base64,")
    assert len(person["choices"]) == len(person["probabilities"]) == 7
    best = max(range(7), key=person["probabilities"].__getitem__)
    for action in (best, best):
        told = client.post("/play/step", json={"game": told["game"], "action": action}).json()
        assert told["student"]["action"] == told["student"]["choices"][best]
        if told["person"]["probabilities"].index(max(told["person"]["probabilities"])) != best:
            break
        # Whoever does what the student does gets where it gets.
        assert told["person"]["text"] == told["student"]["text"]
    assert told["person"]["steps"] == told["student"]["steps"] > 0
    alone = client.post("/play/step", json={"game": told["game"]}).json()
    assert alone["person"]["steps"] == told["person"]["steps"]
    assert alone["student"]["steps"] == told["student"]["steps"] + 1


def test_what_cannot_be_played_is_refused_in_one_line(client: TestClient) -> None:
    game = client.post("/play", json={}).json()["game"]
    for asked, status in (
        ({"game": "nobody", "action": 0}, 404),
        ({"game": game, "action": 7}, 422),
        ({"game": game, "action": -1}, 422),
        ({"game": game, "action": "0"}, 422),
        ({"action": 0}, 422),
    ):
        answer = client.post("/play/step", json=asked)
        assert answer.status_code == status
        assert "\n" not in answer.json()["error"]
    assert client.post("/play", json={"seed": -1}).status_code == 422


def test_old_games_make_room(client: TestClient) -> None:
    first = client.post("/play", json={"seed": 1}).json()["game"]
    for seed in range(MOST_GAMES):
        client.post("/play", json={"seed": seed})
    assert client.post("/play/step", json={"game": first, "action": 0}).status_code == 404
    sessions = next(line for line in client.get("/metrics").text.splitlines() if line.startswith("wean_sessions "))
    assert float(sessions.split()[1]) == 2 * MOST_GAMES


@pytest.mark.parametrize("name", ["table", "memory"])
def test_other_students_play_too(exported: Any, name: str) -> None:

    service = Service(load(exported(name), "greedy"), Limits())
    games = Games(service, kind(name).make)

    async def play() -> Any:
        told = await games.begin(3)
        while not (told["person"]["over"] and told["student"]["over"]):
            told = await games.step(told["game"], None if told["person"]["over"] else 1)
        return told

    told = asyncio.run(play())
    assert told["person"]["steps"] > 0
    assert told["person"]["text"]


def test_another_task_is_no_page(exported: Any) -> None:
    service = Service(load(exported("grid"), "greedy"), Limits())
    with pytest.raises(UsageError, match="name its own task with --task"):
        Games(service, Corridor)
    with pytest.raises(UsageError, match="name its own task with --task"):
        Games(service, partial(make_task, "TwoDoor"))
    app = make_app(load(exported("memory")))
    why = add_page(app, "exported", None)  # a task that was made in Python
    assert why
    assert "unknown task" in why
    with TestClient(guarded(app), base_url="http://127.0.0.1") as found:
        assert found.get("/", follow_redirects=False).headers["location"] == "/docs"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
def test_a_person_plays_in_a_browser(exported: Any, tmp_path: Path) -> None:
    with serving(str(exported("grid"))) as server, browsing(tmp_path) as browser:
        browser.open(server.address)
        browser.wait("document.body && document.body.dataset.steps === '0'")
        assert browser.value("document.querySelectorAll('#person button[data-action]').length") == 7
        assert browser.value("document.querySelectorAll('main img').length") == 2
        before = browser.value("document.querySelector('#person img').src")
        browser.value("document.querySelector('button[data-action=\"0\"]').click()")
        browser.wait("document.body.dataset.steps === '1'")
        assert browser.value("document.querySelector('#person img').src") != before  # it has turned
        assert browser.value("document.querySelectorAll('#student .taken').length") == 1
        browser.press("2")
        browser.wait("document.body.dataset.steps === '2'")
        browser.picture(tmp_path / "page.png")
        browser.value("document.getElementById('seed').value = 3; document.querySelector('#begin button').click()")
        browser.wait("document.body.dataset.steps === '0'")
        assert browser.value("document.getElementById('error').textContent") == ""
        browser.open(f"{server.address}/docs")
        browser.wait("document.querySelectorAll('#routes details').length >= 8")
        assert (tmp_path / "page.png").stat().st_size > 10_000

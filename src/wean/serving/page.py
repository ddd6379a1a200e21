"""The page of `wean serve` on which a person plays an episode beside the student."""

from __future__ import annotations

from functools import partial
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from wean.errors import UsageError, WeanError
from wean.runtime.server.app import add_front
from wean.serving.games import Games
from wean.tasks.registration import check_named_in_file, make_task
from wean.tasks.splits import FINAL_SEED


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Game(_Strict):
    """A game that begins."""

    seed: int = Field(FINAL_SEED, ge=0, lt=2**31, description="Reset seed of the episode; held out from 10,000 on.")


class Move(_Strict):
    """A move in a game."""

    game: Annotated[str, Field(max_length=64)] = Field(description="Its name, from POST /play.")
    action: int | None = Field(None, description="The person's action; without one the student alone acts.")


def add_page(app: FastAPI, folder: str, task: str | None) -> str | None:
    """Adds the page at `/` and what it asks for; without a task that is made here `/` leads to `/docs`.

    Args:
        app: From `wean.runtime.server.app.make_app`.
        folder: What is served, for an error.
        task: The task that a user named; by default the student's own.

    Returns:
        Why there is no page; None where there is one.
    """
    service = app.state.service
    try:
        if service.kind.is_slow:
            raise UsageError("it shows no students that read; ask this one at /act")
        if task is None:
            check_named_in_file(service.policy.task, folder)
        games = Games(service, partial(make_task, task or service.policy.task))
    except WeanError as error:
        add_front(app)
        return str(error)
    _add_routes(app, games)
    add_front(app, resources.files("wean.serving").joinpath("play.html").read_text(encoding="utf-8"))
    return None


def _add_routes(app: FastAPI, games: Games) -> None:
    @app.post("/play", summary="Begin an episode beside the student's.")
    async def begin(asked: Game) -> dict[str, Any]:
        return await games.begin(asked.seed)

    @app.post("/play/step", summary="Act in it.")
    async def step(asked: Move) -> dict[str, Any]:
        return await games.step(asked.game, asked.action)

    @app.exception_handler(WeanError)
    async def failed(request: Request, error: WeanError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 500)

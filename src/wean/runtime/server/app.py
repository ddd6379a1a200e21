"""The routes of a server, and the page that describes them."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from ..folder import PolicyError
from ..policy import ArrayPolicy, ReadingPolicy, ValuesPolicy
from .guard import ACT, App, Guard, Receive, Scope, Send, answer
from .limits import Limits
from .metrics import Metrics
from .requests import Act, Acted, Begin, Begun, Error, read_act, refusal
from .service import Service
from .sessions import Refused

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NOT_SO = {404: "there is nothing here; /docs shows what there is", 405: "not with this method; /docs shows which"}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The body is no JSON."},
    401: {"model": Error, "description": "The token is missing or wrong."},
    404: {"model": Error, "description": "There is no such session."},
    409: {"model": Error, "description": "A session is needed, or its episode is too long."},
    413: {"model": Error, "description": "The body is too large."},
    415: {"model": Error, "description": "The body is not declared to be JSON."},
    422: {"model": Error, "description": "It cannot be understood, or the student does not see such observations."},
    503: {"model": Error, "description": "There are too many sessions."},
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Of pages: they need nothing but themselves and their server."""


def make_app(policy: ArrayPolicy | ValuesPolicy | ReadingPolicy, limits: Limits | None = None) -> FastAPI:
    """Returns the application that acts with an exported student; `guarded` protects it.

    Its `state.service`, `state.acting`, `state.metrics` and `state.limits` are for what else is served.
    """
    limits = limits or Limits()
    service = Service(policy, limits)
    metrics = Metrics(lambda: len(service.sessions))
    about: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}
    app = FastAPI(title="wean serve", version="1", **about)
    acting = Acting(service, metrics)
    app.state.service, app.state.acting, app.state.metrics, app.state.limits = service, acting, metrics, limits
    app.router.routes.append(Route(ACT, acting, methods=["POST"]))
    _add_errors(app)
    _add_sessions(app, service)

    @app.get("/health", summary="Whether the server lives, and how many sessions it has room for.")
    async def health() -> dict[str, str | int]:
        return {"status": "ok", "most_sessions": service.sessions.most}

    @app.get("/student", summary="What the student sees, and its actions.", responses={401: _ERRORS[401]})
    async def student() -> dict[str, Any]:
        return service.about()

    @app.get("/metrics", summary="Counts, as Prometheus reads them.", responses={401: _ERRORS[401]})
    async def counts() -> Response:
        return Response(metrics.text(), media_type=metrics.media_type)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = resources.files(__package__).joinpath("docs.html").read_text(encoding="utf-8")
        return HTMLResponse(page, headers=HEADERS)

    @app.get("/openapi.json", include_in_schema=False)
    async def described() -> JSONResponse:
        return JSONResponse(_openapi(app))

    return app


def add_front(app: FastAPI, page: str | None = None) -> None:
    """Adds what is at `/`: a page, or the way to the description."""

    @app.get("/", include_in_schema=False)
    async def front() -> Response:
        return RedirectResponse("/docs") if page is None else HTMLResponse(page, headers=HEADERS)


def guarded(app: FastAPI, token: str | None = None, host: str = "127.0.0.1") -> App:
    """Returns the application behind its checks of token, host, size and time.

    Args:
        app: From `make_app`.
        token: The bearer token that clients must name; None for none.
        host: The address at which it will listen. Without a token, one that only this machine reaches is served under
            this machine's own names alone.
    """
    paths = {route.path for route in app.routes if isinstance(route, Route) and "{" not in route.path}
    hosts = LOOPBACK if token is None and _is_loopback(host) else None
    state = app.state
    return Guard(app, state.acting, state.limits, state.metrics, paths, token, hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Acting:
    """The ASGI application of `POST /act`.

    A student that takes its time acts in a thread of its own, one request after the other, so that others are answered
    meanwhile; a fast one acts at once, which takes less time than handing over.
    """

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._turn = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="acting") if service.kind.is_slow else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        started = time.perf_counter()
        body = (await receive())["body"]
        try:
            asked = read_act(body)
            told = self._service.act(asked) if self._worker is None else await self._later(asked, self._worker)
        except Refused as error:
            await answer(send, error.status, str(error))
            return
        except PolicyError as error:
            await answer(send, 422, str(error))
            return
        self._metrics.actions.inc(len(told.get("actions", "1")))
        self._metrics.seconds.observe(time.perf_counter() - started)
        await answer(send, 200, told)

    async def _later(self, asked: Act, worker: ThreadPoolExecutor) -> dict[str, Any]:
        async with self._turn:  # or an episode could begin anew while the student acts in it
            turn = self._service.prepare(asked)
            return await asyncio.get_running_loop().run_in_executor(worker, self._service.answer, turn)


def _add_sessions(app: FastAPI, service: Service) -> None:
    errors: dict[int | str, dict[str, Any]] = {status: _ERRORS[status] for status in (401, 404, 422, 503)}

    @app.post("/sessions", summary="Begin a session.", status_code=201, responses=errors)
    async def begin(asked: Begin) -> Begun:
        return Begun(session=service.sessions.begin(asked.seed))

    @app.delete("/sessions/{session}", summary="End a session.", responses=errors)
    async def end(session: str) -> dict[str, str]:
        service.sessions.end(session)
        return {"ended": session}


def _add_errors(app: FastAPI) -> None:
    """Lets every error be one line of JSON."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.status)

    @app.exception_handler(RequestValidationError)
    async def misunderstood(request: Request, error: RequestValidationError) -> JSONResponse:
        found = refusal(error.errors())
        return JSONResponse({"error": str(found)}, found.status)

    @app.exception_handler(HTTPException)
    async def not_so(request: Request, error: HTTPException) -> JSONResponse:
        told = _NOT_SO.get(error.status_code, "the request cannot be read; /docs shows what there is")
        return JSONResponse({"error": told}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed; its log says where"}, 500)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of all routes, with that of `/act`, which FastAPI does not see."""
    described = get_openapi(title=app.title, version=app.version, routes=app.routes)
    answers: dict[str, Any] = {"200": _content(Acted, "What the student does.")}
    answers |= {str(status): _content(Error, about["description"]) for status, about in _ERRORS.items()}
    act = {"summary": "Act on one observation or many.", "requestBody": _content(Act, "") | {"required": True}}
    return described | {"paths": {"/act": {"post": act | {"responses": answers}}} | described["paths"]}


def _content(model: type[Act] | type[Acted] | type[Error], what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": model.model_json_schema()}}}

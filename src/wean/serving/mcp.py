"""A trained student as a tool of the Model Context Protocol, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from wean.extras import require
from wean.runtime.folder import PolicyError
from wean.runtime.policy import load
from wean.runtime.server.limits import Limits
from wean.runtime.server.requests import Act
from wean.runtime.server.service import Service
from wean.runtime.server.sessions import Refused
from wean.serving.serve import Say, exported, in_wean

_FOREVER = 10**9  # seconds of a session: the process has one client, and ends with it


def serve_mcp(path: Path, acting: str | None, task: str | None, say: Say) -> None:
    """Serves a student to the client that started this process, until that closes standard input.

    Args:
        path: A run folder, a student's folder, or one that `wean export` wrote.
        acting: How it acts; as its run shipped it by default.
        task: Its task, where the folder does not say it.
        say: Called with what is being done.

    Raises:
        UsageError: The student cannot be served.
        WeanError: There is no student, or it is damaged.
    """
    require("mcp", extra="mcp")
    require("onnxruntime", extra="serve")
    with in_wean(), exported(path, task, say) as folder:
        make_server(folder, acting).run()


def make_server(folder: Path, acting: str | None = None) -> Any:
    """The MCP server of an exported student.

    Raises:
        PolicyError: The student cannot act so.
    """
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    service = Service(load(folder, acting), Limits(session_seconds=_FOREVER))
    about = service.about()
    session = service.sessions.begin(None)
    server = MCPServer("wean", instructions=f"A student of the task {about['task']}: ask it which action to take.")

    @server.tool(description=_description(about))
    def act(
        observation: Annotated[Any, Field(description="What the task shows now.")],
        start: Annotated[bool, Field(description="Whether an episode begins with it.")] = False,
        seed: Annotated[int | None, Field(ge=0, lt=2**63, description="Where one begins: seeds the draws.")] = None,
    ) -> dict[str, Any]:
        nonlocal session
        try:
            if seed is not None:
                if not start:
                    raise Refused(422, "a seed is for the start of an episode; give start=true with it")
                service.sessions.end(session)
                session = service.sessions.begin(seed)
            told = service.kind.gives_probabilities
            return service.act(Act(session=session, observation=observation, start=start, probabilities=told))
        except (Refused, PolicyError) as error:
            raise ToolError(str(error)) from None

    return server


def _description(about: dict[str, Any]) -> str:
    actions = f" Its actions are {', '.join(about['actions'])}." if about["actions"] else ""
    return f"The action that the student takes in {about['task']}. It is shown {about['observation']}.{actions}"

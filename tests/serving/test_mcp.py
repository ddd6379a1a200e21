"""A student as a tool: asked by an MCP client, in this process and over standard input and output."""

import asyncio
import os
import sys
from typing import Any

import numpy as np
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from wean.runtime import load
from wean.serving.mcp import make_server


def test_a_tool_acts_as_the_student_does(exported: Any) -> None:
    seen = np.load(exported("memory") / "example.npy")
    policy = load(exported("memory"), "sampled")
    policy.reset(4)

    async def ask() -> list[Any]:
        async with Client(make_server(exported("memory"), "sampled")) as client:
            (tool,) = (await client.list_tools()).tools
            assert tool.name == "act"
            first = {"start": True, "seed": 4}
            answers = [
                await client.call_tool("act", {"observation": one.tolist(), **(first if place == 0 else {})})
                for place, one in enumerate(seen)
            ]
            wrong = await client.call_tool("act", {"observation": [1, 2, 3]})
            assert wrong.is_error
            assert "this student sees arrays of shape (1,), not (3,)" in wrong.content[0].text
            return [answer.structured_content["action"] for answer in answers]

    assert asyncio.run(ask()) == [policy.act(one) for one in seen]


@pytest.mark.slow
def test_a_client_starts_it_by_the_command_line(exported: Any) -> None:
    seen = np.load(exported("grid") / "example.npy")[0].tolist()
    command = ["-m", "wean", "serve", str(exported("grid")), "--mcp"]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))

    async def ask() -> Any:
        async with Client(stdio_client(parameters)) as client:
            return await client.call_tool("act", {"observation": seen, "start": True})

    answer = asyncio.run(ask())
    assert not answer.is_error
    assert answer.structured_content["action"] in range(7)

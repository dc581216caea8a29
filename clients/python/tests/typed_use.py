"""How programs use the library, for mypy alone: tests/test_typing.py checks it."""

from __future__ import annotations

from typing import Literal, assert_type

from agentwire import Bridge, UserMessage, sync
from agentwire.errors import ApiError

bridge = Bridge("http://127.0.0.1:1", key="k")


@bridge.on_message
async def answer(message: UserMessage) -> None:
    async with bridge.run(message, agent="a") as run:
        await run.thinking("x", step=1, urgency="low")
        await run.thinking(step="1")  # type: ignore[arg-type]
        await run.publish({"type": "agent_thinking", "runId": run.id, "text": "x"})
        await run.publish({"type": "mine", "n": 1})
        decision = (await run.ask("Send it?", expires_in=5)).decision
        assert_type(decision, Literal["approved", "denied", "expired"])
        async for more in run.steering():
            assert_type(more.content, str)
        if run.cancelled:
            await run.cancelled


def without_asyncio(bridge: sync.Bridge, error: ApiError) -> None:
    with bridge.run("ada/plan", agent="a") as run:
        run.thinking("x", step=1, urgency="low")
        run.thinking(step="1")  # type: ignore[arg-type]
        with run.tool("search") as tool:
            assert_type(tool, sync.Tool)
            tool.complete(1)
        with run.message() as message:
            message.delta("x")
        decision = run.ask("Send it?", expires_in=5).decision
        assert_type(decision, Literal["approved", "denied", "expired"])
        for more in run.steering(wait=False):
            assert_type(more.content, str)
        run.complete("Done", usage={"totalTokens": 3})
    assert_type(error.index, int | None)

"""An agent of PydanticAI as events of a run.

    done = await forward(run, agent.run_stream_events("What changed?"))
    await run.complete(usage=done.usage)

It takes the stream of a node of `agent.iter` just as well. Text becomes a message, a tool call a
tool call, and what a model thinks the thought of the agent.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from agentwire._parts import Message, Tool
from agentwire._run import Run
from agentwire.adapters._done import Done, close

__all__ = ["forward"]

Events = AsyncIterable[Any]


async def forward(run: Run, events: Events | AbstractAsyncContextManager[Events]) -> Done:
    """Publishes the events of an agent until the stream ends."""
    if isinstance(events, AbstractAsyncContextManager):  # since version 2
        async with events as opened:
            return await _forward(run, opened)
    return await _forward(run, events)


async def _forward(run: Run, events: Events) -> Done:
    stream = _Stream(run)
    try:
        async for event in events:
            await stream.take(event)
    except BaseException as error:
        await close(stream.open(), error)
        raise
    await close(stream.open(), None)
    return stream.done


class _Stream:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._tools: dict[str, Tool] = {}
        #: By the index of their part; indexes begin again with each request to the model.
        self._messages: dict[int, Message] = {}
        self.done = Done()

    def open(self) -> list[Message | Tool]:
        return [*self._messages.values(), *self._tools.values()]

    async def take(self, event: Any) -> None:
        # The kinds are part of the format in which PydanticAI writes events down.
        kind = getattr(event, "event_kind", None)
        if kind == "part_start":
            if event.part.part_kind == "text":
                await self._text(event.index, event.part.content)
        elif kind == "part_delta":
            if event.delta.part_delta_kind == "text":
                await self._text(event.index, event.delta.content_delta)
        elif kind == "part_end":
            await self._part_end(event)
        elif kind == "function_tool_call":
            await self._tool_start(event.part)
        elif kind == "function_tool_result":
            await self._tool_end(getattr(event, "part", None) or event.result)
        elif kind == "agent_run_result":
            self._result(event.result)

    async def _text(self, index: int, text: str) -> None:
        if not text:
            return
        message = self._messages.get(index)
        if message is None:
            message = self._messages[index] = self._run.message()
        await message.delta(text)

    async def _part_end(self, event: Any) -> None:
        if event.part.part_kind == "thinking" and event.part.content:
            await self._run.thinking(event.part.content)
        message = self._messages.pop(event.index, None)
        if message is not None:
            await message.complete(event.part.content)

    async def _tool_start(self, part: Any) -> None:
        try:
            args = part.args_as_dict()
        except ValueError:  # the model wrote no JSON
            args = part.args
        tool = self._run.tool(part.tool_name, args, tool_call_id=part.tool_call_id)
        self._tools[part.tool_call_id] = await tool.start()

    async def _tool_end(self, part: Any) -> None:
        tool = self._tools.pop(part.tool_call_id, None)
        if tool is None:
            return
        outcome = getattr(part, "outcome", "success")
        if part.part_kind == "retry-prompt":
            outcome = "retried"
        if outcome == "success":
            await tool.complete(part.content)
        else:  # its content is for the model
            await tool.fail(str(outcome))

    def _result(self, result: Any) -> None:
        self.done.output = result.output
        usage = result.usage
        if not hasattr(usage, "input_tokens"):  # a method before version 2
            usage = usage()
        self.done.count(usage.input_tokens, usage.output_tokens)

"""A graph of LangGraph as events of a run.

    done = await forward(run, graph.astream_events(input, version="v2"))
    await run.complete(usage=done.usage)

Also for what else of LangChain has `astream_events`. Tokens become a message, tool calls become
tool calls, the node that works becomes the thought of the agent.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any

from agentwire._describe import describe
from agentwire._parts import Message, Tool
from agentwire._run import Run
from agentwire.adapters._done import Done, close

__all__ = ["forward"]


async def forward(
    run: Run,
    events: AsyncIterable[Mapping[str, Any]],
    *,
    show_node: bool = True,
    show_model: Callable[[Mapping[str, Any]], bool] = lambda event: True,
) -> Done:
    """Publishes the events of a graph until its end.

    `show_node=False` leaves out which node works. `show_model` says of an event of a model
    whether its text is for the user: `lambda event: event["metadata"]["langgraph_node"] == "a"`.
    """
    stream = _Stream(run, show_node, show_model)
    try:
        async for event in events:
            await stream.take(event)
    except BaseException as error:
        await close(stream.open.values(), error)
        raise
    await close(tuple(stream.open.values()), None)
    return stream.done


class _Stream:
    def __init__(
        self, run: Run, show_node: bool, show_model: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        self._run = run
        self._show_node = show_node
        self._show_model = show_model
        #: By the id that LangChain gives each step.
        self.open: dict[str, Message | Tool] = {}
        self.done = Done()

    async def take(self, event: Mapping[str, Any]) -> None:
        kind, step, data = event["event"], str(event["run_id"]), event.get("data") or {}
        if kind == "on_chat_model_stream":
            await self._text(event, step, _text_of(data.get("chunk")))
        elif kind == "on_chat_model_end":
            await self._model_end(event, step, data.get("output"))
        elif kind == "on_tool_start":
            tool = self._run.tool(event["name"], data.get("input"), tool_call_id=step)
            self.open[step] = await tool.start()
        elif kind == "on_tool_end":
            output = data.get("output")
            await self._tool_end(step, output, failed=getattr(output, "status", "") == "error")
        elif kind == "on_tool_error":
            tool_or_none = self.open.pop(step, None)
            if isinstance(tool_or_none, Tool):
                await tool_or_none.fail(describe(data["error"]))
        elif kind == "on_custom_event":
            await self._run.publish({"type": event["name"], "data": data})
        elif kind == "on_chain_start":
            await self._node(event)
        elif kind == "on_chain_end" and not event.get("parent_ids"):
            self.done.output = data.get("output")

    async def _node(self, event: Mapping[str, Any]) -> None:
        metadata = event.get("metadata") or {}
        node = metadata.get("langgraph_node")
        if self._show_node and node is not None and node == event.get("name"):
            await self._run.thinking(str(node), step=metadata.get("langgraph_step") or None)

    async def _text(self, event: Mapping[str, Any], step: str, text: str) -> None:
        if not text or not self._show_model(event):
            return
        message = self.open.get(step)
        if message is None:
            message = self.open[step] = self._run.message()
        if isinstance(message, Message):
            await message.delta(text)

    async def _model_end(self, event: Mapping[str, Any], step: str, output: Any) -> None:
        usage = getattr(output, "usage_metadata", None) or {}
        self.done.count(usage.get("input_tokens"), usage.get("output_tokens"))
        if step not in self.open:  # a model that does not stream
            await self._text(event, step, _text_of(output))
        message = self.open.pop(step, None)
        if isinstance(message, Message):
            await message.complete()

    async def _tool_end(self, step: str, output: Any, *, failed: bool) -> None:
        tool = self.open.pop(step, None)
        if not isinstance(tool, Tool):
            return
        # A tool of an agent returns a message, whose content is the result.
        result = getattr(output, "content", output)
        if failed:
            await tool.fail("the tool failed", result=None)
        elif hasattr(output, "update") and hasattr(output, "goto"):
            await tool.complete()  # a command to the graph is no result for people
        else:
            await tool.complete(result)


def _text_of(message: Any) -> str:
    content = getattr(message, "content", "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part if isinstance(part, str) else str(part.get("text", ""))
        for part in parts
        if isinstance(part, str) or (isinstance(part, dict) and part.get("type") == "text")
    )

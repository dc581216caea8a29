"""The adapters with the real frameworks and scripted models: requirements-adapters.txt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from agentwire import Bridge
from tests.fake import Fake

Make = Callable[..., Bridge]
pytestmark = pytest.mark.filterwarnings("default")  # those of the frameworks are not ours


def told(fake: Fake) -> list[tuple[Any, ...]]:
    """The events, with what matters of them."""
    fields = ("text", "content", "toolName", "args", "success", "result", "error", "interrupted")
    return [
        (event["type"], {name: event[name] for name in fields if name in event})
        for event in fake.events("t")
    ]


def graph(*answers: list[Any]) -> Any:
    """An agent that thinks with a scripted model and uses tools."""
    core = pytest.importorskip("langchain_core")
    pytest.importorskip("langgraph")
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    assert core

    class Scripted(GenericFakeChatModel):
        def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
            for chunk in next(self.messages):
                if isinstance(chunk, Exception):
                    raise chunk
                yield ChatGenerationChunk(message=chunk)

    @tool
    def search(q: str) -> str:
        """Searches."""
        return f"found {q}"

    @tool
    def login() -> str:
        """Fails."""
        raise ValueError("password hunter2")

    model = Scripted(messages=iter(answers))

    async def agent(state: Any) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", ToolNode([search, login], handle_tool_errors=True))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile()


def call(name: str, args: str) -> dict[str, Any]:
    return {"name": name, "args": args, "id": f"c-{name}", "index": 0}


async def test_langgraph(fake: Fake, make: Make) -> None:
    pytest.importorskip("langgraph")
    from langchain_core.messages import AIMessageChunk as Chunk

    from agentwire.adapters.langgraph import forward

    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    agent = graph(
        [
            Chunk(content="Let me "),
            Chunk(content="see"),
            Chunk(content="", tool_call_chunks=[call("search", '{"q":"x"}')]),
        ],
        [Chunk(content="", tool_call_chunks=[call("login", "{}")])],
        [
            Chunk(content="Hel"),
            Chunk(content=[{"type": "text", "text": "lo", "index": 0}], usage_metadata=usage),
        ],
    )
    async with make() as bridge, bridge.run("t", agent="a") as run:
        events = agent.astream_events({"messages": [("user", "hi")]}, version="v2")
        done = await forward(run, events)
        await run.complete(usage=done.usage)
    assert told(fake)[1:-1] == [
        ("agent_thinking", {"text": "agent"}),
        ("message_delta", {"text": "Let me "}),
        ("message_delta", {"text": "see"}),
        ("message_completed", {"content": "Let me see"}),
        ("agent_thinking", {"text": "tools"}),
        ("tool_executing", {"toolName": "search", "args": {"q": "x"}}),
        ("tool_completed", {"toolName": "search", "success": True, "result": "found x"}),
        ("agent_thinking", {"text": "agent"}),
        ("agent_thinking", {"text": "tools"}),
        ("tool_executing", {"toolName": "login", "args": {}}),
        ("tool_completed", {"toolName": "login", "success": False, "error": "ValueError"}),
        ("agent_thinking", {"text": "agent"}),
        ("message_delta", {"text": "Hel"}),
        ("message_delta", {"text": "lo"}),
        ("message_completed", {"content": "Hello"}),
    ]
    assert done.output["messages"][-1].content
    assert fake.events("t")[-1]["usage"] == {
        "inputTokens": 3,
        "outputTokens": 4,
        "totalTokens": 7,
    }


async def test_langgraph_that_fails(fake: Fake, make: Make) -> None:
    pytest.importorskip("langgraph")
    from langchain_core.messages import AIMessageChunk as Chunk

    from agentwire.adapters.langgraph import forward

    agent = graph([Chunk(content="Half an ans"), ValueError("password hunter2")])
    async with make() as bridge:
        with pytest.raises(ValueError, match="hunter2"):
            async with bridge.run("t", agent="a") as run:
                await forward(run, agent.astream_events({"messages": []}, version="v2"))
    assert told(fake)[-2:] == [
        ("message_completed", {"content": "Half an ans", "interrupted": True}),
        ("agent_error", {}),
    ]
    assert "hunter2" not in repr(fake.requests)


def pydantic_agent() -> Any:
    pytest.importorskip("pydantic_ai")
    from pydantic_ai import Agent, ModelRetry
    from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel

    async def script(messages: list[Any], info: Any) -> AsyncIterator[Any]:
        if len(messages) == 1:
            yield {0: DeltaThinkingPart(content="Let me ")}
            yield {0: DeltaThinkingPart(content="see")}
            yield {1: DeltaToolCall(name="search", json_args='{"q":', tool_call_id="c1")}
            yield {1: DeltaToolCall(json_args='"x"}')}
        elif len(messages) == 3:
            yield {0: DeltaToolCall(name="login", json_args="{}", tool_call_id="c2")}
        elif messages[0].parts[0].content == "fail":
            yield "Half an ans"
            raise ValueError("password hunter2")
        else:
            yield "Hel"
            yield "lo"

    agent = Agent(FunctionModel(stream_function=script))

    @agent.tool_plain
    def search(q: str) -> list[str]:
        return [f"found {q}"]

    @agent.tool_plain
    def login() -> str:
        raise ModelRetry("hunter2 is wrong")

    return agent


PYDANTIC = [
    ("agent_thinking", {"text": "Let me see"}),
    ("tool_executing", {"toolName": "search", "args": {"q": "x"}}),
    ("tool_completed", {"toolName": "search", "success": True, "result": ["found x"]}),
    ("tool_executing", {"toolName": "login", "args": {}}),
    ("tool_completed", {"toolName": "login", "success": False, "error": "retried"}),
    ("message_delta", {"text": "Hel"}),
    ("message_delta", {"text": "lo"}),
    ("message_completed", {"content": "Hello"}),
]


async def test_pydantic_ai(fake: Fake, make: Make) -> None:
    agent = pydantic_agent()
    from agentwire.adapters.pydantic_ai import forward

    async with make() as bridge, bridge.run("t", agent="a") as run:
        done = await forward(run, agent.run_stream_events("hi"))
        await run.complete(usage=done.usage)
    assert told(fake)[1:-1] == PYDANTIC
    assert done.output == "Hello"
    assert done.usage["totalTokens"] > 0


async def test_pydantic_ai_by_nodes(fake: Fake, make: Make) -> None:
    agent = pydantic_agent()
    from pydantic_ai import Agent

    from agentwire.adapters.pydantic_ai import forward

    async with make() as bridge, bridge.run("t", agent="a") as run:
        async with agent.iter("hi") as steps:
            async for node in steps:
                if Agent.is_model_request_node(node) or Agent.is_call_tools_node(node):
                    async with node.stream(steps.ctx) as events:
                        await forward(run, events)
    assert told(fake)[1:-1] == PYDANTIC


async def test_pydantic_ai_that_fails(fake: Fake, make: Make) -> None:
    agent = pydantic_agent()
    from agentwire.adapters.pydantic_ai import forward

    async with make() as bridge:
        with pytest.raises(ValueError, match="hunter2"):
            async with bridge.run("t", agent="a") as run:
                await forward(run, agent.run_stream_events("fail"))
    assert told(fake)[-2:] == [
        ("message_completed", {"content": "Half an ans", "interrupted": True}),
        ("agent_error", {}),
    ]
    assert "hunter2" not in repr(fake.requests)

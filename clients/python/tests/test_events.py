"""What the library publishes is what the event table says, field by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from agentwire import Bridge, events
from tests.fake import Fake

Make = Callable[..., Bridge]
ROOT = Path(__file__).resolve().parents[3]
COMMON = {"type", "time", "id", "agent"}

needs_repository = pytest.mark.skipif(
    not (ROOT / "events" / "schema").is_dir(),
    reason="events/ is not here: this test needs the whole repository",
)


@needs_repository
def test_the_types_are_a_copy_of_the_generated_ones() -> None:
    generated = ROOT / "events" / "python" / "agentwire_events.py"
    assert Path(events.__file__).read_bytes() == generated.read_bytes(), (
        "copy events/python/agentwire_events.py to clients/python/src/agentwire/events.py"
    )


async def publish_all(make: Make) -> None:
    """Calls each method with each argument that it has."""
    async with make() as bridge:
        async with bridge.run("t", "a", task="x", parent="run-0", traceparent="00-1") as run:
            await run.thinking(
                "x", step=1, total_steps=2, progress=3, remaining_ms=4, urgency="low"
            )
            async with run.tool(
                "t", {"a": 1}, purpose="p", category="search", estimated_ms=5
            ) as tool:
                await tool.args_delta("{")
                tool.result = 1
            await run.tool("t").fail("no", result=2)
            async with run.message() as message:
                await message.delta("x")
                await message.interrupt()
            await run.respond("x", message_id="m")
            await run.report(
                "c",
                "m",
                severity="low",
                suggestions=["s"],
                retry_after_ms=1,
                user_message="u",
                details={"d": 1},
            )
            await run.complete("s", result=1, duration_ms=2, usage={"totalTokens": 3})
        async with bridge.run("t", "a") as run:
            await run.fail("c", "m", suggestions=[1], retry_after_ms=1, user_message="u", details=1)
        async with bridge.run("t", "a") as run:
            await run.cancel("why")


async def ask(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run("t", "a") as run:
        resolved = {"type": "approval_resolved", "approvalId": "ap", "decision": "expired"}
        fake.signal("t", run.id, resolved)
        fake.signal("t", run.id, {"type": "steering", "sendId": "s", "offset": 1})
        answer = await run.ask(
            "p",
            options=[1],
            schema=True,
            args={},
            editable=True,
            tool_call_id="c",
            expires_in=1,
            approval_id="ap",
        )
        assert (answer.decision, answer.user, answer.approved) == ("expired", None, False)
        async for _ in run.steering(wait=False):
            pass


@pytest.fixture
def types() -> dict[str, Any]:
    """The type of each event by its name."""
    found = {}
    for kind in get_args(events.AgentEvent):
        (name,) = get_args(get_type_hints(kind)["type"])
        found[name] = kind
    return found


async def test_each_field_of_the_table_can_be_set(
    fake: Fake, make: Make, types: dict[str, Any]
) -> None:
    await publish_all(make)
    await ask(fake, make)
    seen: dict[str, set[str]] = {}
    for event in fake.events("t"):
        seen.setdefault(event["type"], set()).update(event)
        fields = set(get_type_hints(types[event["type"]]))
        assert set(event) <= fields, f"{event['type']}: the table has no such field"
        assert types[event["type"]].__required_keys__ <= set(event)
    # `sendId` comes with a message, and the server writes `argsHash`.
    not_here = {"agent_started": {"sendId"}, "approval_requested": {"argsHash"}}
    for name, fields in seen.items():
        missing = set(get_type_hints(types[name])) - fields - COMMON - not_here.get(name, set())
        assert not missing, f"{name}: no method sets {missing}"
    assert len(seen) == 13


@needs_repository
async def test_each_event_is_valid_by_the_schema(fake: Fake, make: Make) -> None:
    import jsonschema

    await publish_all(make)
    await ask(fake, make)
    schema = json.loads((ROOT / "events" / "schema" / "events.json").read_text())
    for event in fake.events("t"):
        one = schema["$defs"][event["type"]] | {"$defs": schema["$defs"]}
        jsonschema.validate({**event, "time": 1}, one)  # the server sets the time

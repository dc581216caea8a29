"""What a run publishes, and how it ends."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable

import pytest

from agentwire import AgentFailed, Bridge, RunCancelled
from agentwire.errors import BridgeUnreachable, InvalidEvent, KeyInvalid, RunOver
from agentwire.options import Retry
from tests.fake import Fake, Refused

Make = Callable[..., Bridge]
PLAN = "ada/plan"


async def test_a_run_has_all_of_its_events_in_order(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        async with bridge.run(PLAN, agent="triage", task="Sort it", lease=12) as run:
            await run.thinking("Looking", step=1, total_steps=2, progress=50)
            async with run.tool("search", {"q": "x"}, purpose="To know") as tool:
                tool.result = {"found": 3, "at": datetime.date(2026, 1, 2)}
            async with run.message() as message:
                await message.delta("Hel")
                await message.delta("lo")
            await run.publish({"type": "my_chart", "points": [1, 2]})
            await run.report("slow", "The search is slow", retry_after_ms=500)
            await run.respond("Done")
            await run.complete("All sorted", usage={"inputTokens": 1})
        started = fake.events()[0]
        assert started == {
            "type": "agent_started",
            "runId": run.id,
            "agent": "triage",
            "task": "Sort it",
        }
        assert fake.thread(PLAN).runs[run.id].lease_ms == 12_000
        assert fake.types() == [
            "agent_started",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "message_delta",
            "message_delta",
            "message_completed",
            "my_chart",
            "agent_error",
            "agent_response",
            "agent_completed",
        ]
        assert fake.events()[3]["result"] == {"found": 3, "at": "2026-01-02"}
        assert fake.events()[6]["content"] == "Hello"
        assert all(event["runId"] == run.id for event in fake.events())


async def test_leaving_the_block_completes_the_run(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        async with bridge.run(PLAN, "a"):
            pass
    assert fake.types() == ["agent_started", "agent_completed"]


async def test_an_exception_fails_the_run_and_its_text_stays_here(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(ValueError, match="hunter2"):
            async with bridge.run(PLAN, "a") as run, run.tool("login") as _:
                raise ValueError("password hunter2 is wrong")
    tool, end = fake.events()[-2:]
    assert (tool["success"], tool["error"]) == (False, "ValueError")
    assert end["type"] == "agent_error"
    assert (end["code"], end["recoverable"], end["message"]) == (
        "agent_failed",
        False,
        "ValueError",
    )
    assert "hunter2" not in repr(fake.requests)


async def test_agent_failed_says_code_and_text(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(AgentFailed):
            async with bridge.run(PLAN, "a"):
                raise AgentFailed("model_unavailable", "No model", user_message="Try later")
    end = fake.events()[-1]
    assert (end["code"], end["message"], end["userMessage"]) == (
        "model_unavailable",
        "No model",
        "Try later",
    )


async def test_a_cancelled_task_cancels_its_run(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        began = asyncio.Event()

        async def work() -> None:
            async with bridge.run(PLAN, "a") as run, run.message() as message:
                await message.delta("Half an ans")
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert fake.types()[-2:] == ["message_completed", "agent_cancelled"]
    assert fake.events()[-2]["interrupted"] is True


async def test_a_users_cancel_stops_the_block_at_its_next_write(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(RunCancelled):
            async with bridge.run(PLAN, "a") as run:
                fake.signal(PLAN, run.id, {"type": "cancelled"})
                await run.cancelled
                await run.thinking("never")
    assert fake.types() == ["agent_started", "agent_cancelled"]


async def test_the_answer_to_a_publish_tells_of_a_cancel(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(RunCancelled):
            async with bridge.run(PLAN, "a", signals=False) as run:
                fake.thread(PLAN).runs[run.id].cancelled = True
                await run.respond("this one is written")
                assert run.cancelled
                await run.thinking("never")
    assert fake.types() == ["agent_started", "agent_response", "agent_cancelled"]


async def test_a_cancel_can_be_ignored(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a", on_cancel="ignore") as run:
        fake.signal(PLAN, run.id, {"type": "cancelled"})
        await run.cancelled
        await run.respond("Only this yet")
        await run.complete("Finished what had begun")
    assert fake.types() == ["agent_started", "agent_response", "agent_completed"]


async def test_a_child_ends_before_its_parent_and_is_cancelled_with_it(
    fake: Fake, make: Make
) -> None:
    async with make() as bridge:
        with pytest.raises(RunCancelled):
            async with bridge.run(PLAN, "a") as run:
                await run.thinking("before the child")
                async with run.child("researcher", task="Read") as sub:
                    await sub.thinking("of the child")
                    await sub.flush()
                    fake.signal(PLAN, run.id, {"type": "cancelled"})
                    await sub.cancelled
                    await sub.thinking("never")
    kinds = [(event["type"], event["runId"] == run.id) for event in fake.events()]
    assert kinds == [
        ("agent_started", True),
        ("agent_thinking", True),
        ("agent_started", False),
        ("agent_thinking", False),
        ("agent_cancelled", False),
        ("agent_cancelled", True),
    ]
    assert fake.events()[2]["parentRunId"] == run.id


async def test_ask_waits_for_the_decision_across_a_restart(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a") as run:

        async def decide() -> None:
            await fake.until(lambda: "approval_requested" in fake.types())
            fake.restart()
            asked = fake.events()[-1]
            answer = {
                "type": "approval_resolved",
                "approvalId": asked["approvalId"],
                "decision": "approved",
                "payload": {"n": 1},
                "editedArgs": {"to": "bob"},
                "reason": "fine\u2028really",
                "user": "ada",
            }
            for _ in range(2):  # the server may send it again
                fake.signal(PLAN, run.id, answer)

        deciding = asyncio.create_task(decide())
        answer = await run.ask(
            "Send it?", options=["yes"], schema={"type": "object"}, args={"to": "al"}, expires_in=60
        )
        await deciding
        assert answer.approved
        assert (answer.payload, answer.edited_args, answer.reason, answer.user) == (
            {"n": 1},
            {"to": "bob"},
            "fine\u2028really",
            "ada",
        )
    asked = next(e for e in fake.events() if e["type"] == "approval_requested")
    assert asked["args"] == {"to": "al"}
    assert asked["expiresAt"] > 1_600_000_000_000


async def test_a_cancel_ends_a_question(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(RunCancelled):
            async with bridge.run(PLAN, "a") as run:
                asking = asyncio.create_task(run.ask("Send it?"))
                await fake.until(lambda: "approval_requested" in fake.types())
                fake.signal(PLAN, run.id, {"type": "cancelled"})
                await asking
    assert fake.types()[-1] == "agent_cancelled"


async def test_steering_is_taken_once(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a") as run:
        got = []

        def steer(n: int) -> None:
            signal = {"type": "steering", "sendId": f"s-{n}", "offset": 30 + n, "text": 30 + n}
            fake.signal(PLAN, run.id, {**signal, "user": "ada", "content": f"message {n}"})

        steer(1)
        steer(2)
        async for message in run.steering():
            got.append((message.send_id, message.content))
            if len(got) == 2:
                fake.restart()  # all signals come again, before the third
                steer(3)
            if len(got) == 3:
                break
        assert got == [("s-1", "message 1"), ("s-2", "message 2"), ("s-3", "message 3")]
        async for _ in run.steering(wait=False):
            pytest.fail("there is none")
    taken = [e["sendId"] for e in fake.events() if e["type"] == "steering_taken"]
    assert taken == ["s-1", "s-2", "s-3"]


async def test_an_invalid_event_is_told_and_the_others_are_written(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a") as run:
        results = await asyncio.gather(
            run.publish({"type": "one"}, durable=True),
            run.publish({"type": "bad", "invalid": True}, durable=True),
            run.publish({"type": "two", "large": True}, durable=True),
            run.publish({"type": "three"}, durable=True),
            run.publish({"type": "four", "large": "body"}, durable=True),
            run.publish({"type": "approval_requested", "approvalId": "a"}, durable=True),
            run.publish({"type": "approval_requested", "approvalId": "a"}, durable=True),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results] == [
            "NoneType",
            "InvalidEvent",
            "TooLarge",
            "NoneType",
            "TooLarge",
            "NoneType",
            "ApprovalConflict",
        ]
        await run.publish({"type": "bad", "invalid": True})  # nobody waits for this one
        await fake.until(lambda: fake.requests[-1][2]["events"][-1].get("invalid"))
        with pytest.raises(InvalidEvent):
            await run.flush()
    assert fake.types() == [
        "agent_started",
        "one",
        "three",
        "approval_requested",
        "agent_completed",
    ]


async def test_a_value_that_json_does_not_know_is_an_error_at_once(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a") as run:
        with pytest.raises(TypeError, match="object"):
            await run.publish({"type": "x", "value": object()})
        with pytest.raises(ValueError, match="float"):
            await run.publish({"type": "x", "value": float("nan")})
    assert fake.types() == ["agent_started", "agent_completed"]


async def test_an_end_that_is_refused_leaves_room_for_another(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(InvalidEvent):
            async with bridge.run(PLAN, "a") as run:
                fake.refuse_next = Refused(422, "invalid_event", index=0)
                await run.complete("x")
    assert fake.types() == ["agent_started", "agent_error"]


async def test_a_run_that_is_over_takes_no_more(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        async with bridge.run(PLAN, "a") as run:
            await run.complete()
            with pytest.raises(RunOver):
                await run.thinking("late")
        with pytest.raises(RunOver):  # its lease ended
            async with bridge.run(PLAN, "a") as run:
                fake.thread(PLAN).runs[run.id].open = False
                await run.respond("late")


async def test_a_wrong_key_is_an_error_at_once(fake: Fake) -> None:
    async with Bridge("http://fake", key="wrong", transport=fake) as bridge:
        with pytest.raises(KeyInvalid) as error:
            async with bridge.run(PLAN, "a"):
                pytest.fail("the run did not start")
        assert (error.value.status, error.value.code) == (401, "key_invalid")


async def test_a_server_that_stays_away_is_a_clear_error(fake: Fake, make: Make) -> None:
    async with make(retry=Retry(first=0.001, longest=0.002, give_up=0.02)) as bridge:
        with pytest.raises(BridgeUnreachable, match="tries"):
            async with bridge.run(PLAN, "a") as run:
                fake.fault = lambda request: fake.error(Refused(503, "unavailable"))
                await run.respond("never")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTWIRE_URL", raising=False)
    monkeypatch.delenv("AGENTWIRE_KEY", raising=False)
    with pytest.raises(ValueError, match="AGENTWIRE_URL"):
        Bridge()
    with pytest.raises(ValueError, match="AGENTWIRE_KEY"):
        Bridge("http://x")
    with pytest.raises(ValueError, match="http"):
        Bridge("x:8080", key="k")

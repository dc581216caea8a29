"""Workers: what is delivered is accepted, handled once, and told about."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentwire import Bridge, Delivery, UserMessage
from agentwire._settle import WorkerSettle
from agentwire.errors import KeyInvalid
from tests.fake import Fake, Refused

Make = Callable[..., Bridge]
PLAN = "ada/plan"


def message(n: int, attempt: int = 1) -> dict[str, Any]:
    return {
        "id": f"dlv-{n}",
        "type": "message",
        "attempt": attempt,
        "time": 1790000000000,
        "thread": {"key": PLAN, "name": "plan"},
        "user": "ada",
        "sendId": f"s-{n}",
        "offset": n,
        "text": n,
        "content": f"question {n}",
        "event": {"type": "user_message", "content": f"question {n}"},
        "leaseMs": 30000,
    }


class Working:
    """`bridge.work()` in a task, until the block ends."""

    def __init__(self, bridge: Bridge, **options: Any) -> None:
        self.stop = asyncio.Event()
        self._work = bridge.work(stop=self.stop, **options)

    async def __aenter__(self) -> Working:
        self.task = asyncio.create_task(self._work)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.task


async def test_a_message_is_claimed_by_the_run_that_answers_it(fake: Fake, make: Make) -> None:
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            assert (message.thread, message.user, message.content) == (PLAN, "ada", "question 1")
            async with bridge.run(message, agent="triage") as run:
                await run.respond("yes")

        traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        async with Working(bridge, max=5):
            fake.deliver({"id": "dlv-0", "type": "of the future"})  # it costs no other delivery
            fake.deliver({**message(1), "event": {"traceparent": traceparent}})
            await fake.until(lambda: "agent_completed" in fake.types())
    assert fake.accepted == [("dlv-1", {"attempt": 1})]
    started = next(body for _, path, body in fake.requests if path.endswith("/events"))
    assert started["claim"] == {"sendId": "s-1", "offset": 1, "text": 1}
    assert started["events"][0]["sendId"] == "s-1"
    assert started["events"][0]["traceparent"] == traceparent


async def test_messages_are_handled_at_once_and_each_one_once(fake: Fake, make: Make) -> None:
    all_here = asyncio.Barrier(5)
    entered = asyncio.Semaphore(0)
    handled: list[str] = []
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            handled.append(message.id)
            entered.release()
            await all_here.wait()
            async with bridge.run(message, agent="a"):
                pass

        async with Working(bridge):
            for n in range(5):
                fake.deliver(message(n))
                if n == 2:
                    for _ in range(3):
                        await entered.acquire()
                    fake.restart()  # all that was delivered comes again
                    fake.deliver(message(1, attempt=2))
            await fake.until(lambda: fake.types().count("agent_completed") == 5)
    assert sorted(handled) == [f"dlv-{n}" for n in range(5)]


async def test_an_outdated_message_is_left_quietly(
    fake: Fake, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    fake.outdated.add("s-1")
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a"):
                assert message.send_id == "s-2"

        async with Working(bridge):
            fake.deliver(message(1))
            await fake.until(lambda: fake.accepted)
            fake.deliver(message(2))
            await fake.until(lambda: "agent_completed" in fake.types())
    assert [e["sendId"] for e in fake.events() if "sendId" in e] == ["s-2"]
    assert not caplog.records


async def test_a_message_without_a_run_is_done(fake: Fake, make: Make) -> None:
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            pass

        async with Working(bridge):
            fake.deliver(message(1))
            await fake.until(lambda: fake.accepted)
    assert fake.accepted == [("dlv-1", {"attempt": 1, "done": True})]


async def test_a_slow_handler_keeps_its_message_and_can_be_done_later(
    fake: Fake, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerSettle, "accept_after", 0.01)
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            await fake.until(lambda: fake.accepted)

        async with Working(bridge):
            fake.deliver(message(1))
            await fake.until(lambda: len(fake.accepted) == 2)
    accepted = ("dlv-1", {"attempt": 1})
    assert fake.accepted == [accepted, ("dlv-1", {"attempt": 1, "done": True})]


async def test_a_handler_that_fails_is_tried_again_and_refused_at_last(
    fake: Fake, make: Make
) -> None:
    failing = asyncio.Event()
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            failing.set()
            raise ValueError("password hunter2")

        async with Working(bridge):
            fake.deliver(message(1, attempt=1))
            await failing.wait()
            await bridge._handlers.finish(10)
            assert not fake.accepted
            assert not fake.refused
            fake.deliver(message(1, attempt=3))
            await fake.until(lambda: fake.refused)
    assert fake.refused == [("dlv-1", {"attempt": 3, "message": "ValueError"})]


async def test_a_worker_reconnects_and_leaves_what_another_has(fake: Fake, make: Make) -> None:
    handled: list[str] = []
    broken = iter(["drop", "503"])

    def fault(request: httpx.Request) -> Any:
        kind = next(broken, None)
        if kind == "drop":
            raise httpx.ConnectError("refused")
        if kind == "503":
            return fake.error(Refused(503, "unavailable"))
        if request.url.path == "/v1/deliveries/dlv-2/accept":
            return fake.error(Refused(404, "not_found"))
        return None

    fake.fault = fault
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a"):
                handled.append(message.id)

        async with Working(bridge):
            for n in (1, 2, 3):
                fake.deliver(message(n))
            await fake.until(lambda: fake.types().count("agent_completed") == 2)
    assert handled == ["dlv-1", "dlv-3"]


async def test_a_wrong_key_ends_the_worker(fake: Fake) -> None:
    async with Bridge("http://fake", key="wrong", transport=fake) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            pass

        with pytest.raises(KeyInvalid):
            await bridge.work()


@pytest.mark.parametrize("how", ["sigterm", "cancel"])
async def test_a_worker_that_stops_lets_its_handlers_finish(
    how: str, fake: Fake, make: Make
) -> None:
    go_on = asyncio.Event()
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a") as run:
                await go_on.wait()
                await run.respond("finished")

        task = asyncio.create_task(bridge.work())
        fake.deliver(message(1))
        await fake.until(lambda: "agent_started" in fake.types())
        if how == "sigterm":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            task.cancel()
        await fake.until(lambda: not fake.workers)
        fake.deliver(message(2))
        go_on.set()
        if how == "sigterm":
            await task
        else:
            with pytest.raises(asyncio.CancelledError):
                await task
    assert fake.types() == ["agent_started", "agent_response", "agent_completed"]


async def test_a_handler_that_takes_too_long_is_cancelled(fake: Fake, make: Make) -> None:
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a"):
                await asyncio.Event().wait()

        async with Working(bridge, grace=0.01):
            fake.deliver(message(1))
            await fake.until(lambda: "agent_started" in fake.types())
    assert fake.types() == ["agent_started", "agent_cancelled"]


async def test_other_deliveries_reach_the_run_and_their_handler(fake: Fake, make: Make) -> None:
    got: list[Delivery] = []
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            pass

        @bridge.on_delivery
        async def other(delivery: Delivery) -> None:
            got.append(delivery)

        async with Working(bridge):
            async with bridge.run(PLAN, "a", signals=False, on_cancel="ignore") as run:
                cancel = {**message(7), "type": "run_cancelled", "runId": run.id}
                fake.deliver(cancel)
                await run.cancelled
            await fake.until(lambda: got)
    assert (got[0].type, got[0].run_id) == ("run_cancelled", run.id)

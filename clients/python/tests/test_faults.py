"""Each event is stored exactly once and in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentwire import Batch, Bridge
from agentwire._queue import KEPT_EVENTS
from agentwire.errors import ProducerGap, RunOver
from tests.fake import Fake, Refused

Make = Callable[..., Bridge]
PLAN = "ada/plan"


class Chaos:
    """Faults at random, and counts them: a test in which none happened proves nothing."""

    def __init__(self, fake: Fake, seed: int, share: float = 0.5) -> None:
        self.fake = fake
        self.random = random.Random(seed)
        self.share = share
        self.counts: dict[str, int] = {}

    async def __call__(self, request: httpx.Request) -> object:
        if self.random.random() > self.share:
            return None
        kind = self.random.choice(
            ["drop", "lose", "twice", "slow", "503", "429", "html", "restart"]
        )
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "drop":
            raise httpx.ConnectError("refused", request=request)
        if kind == "slow":
            for _ in range(self.random.randrange(30)):
                await asyncio.sleep(0)  # lets the writers go on
        if kind == "503":
            return self.fake.error(Refused(503, "unavailable"))
        if kind == "429":
            return httpx.Response(429, headers={"retry-after": "0"}, json={"code": "overloaded"})
        if kind == "html":
            return httpx.Response(502, text="<h1>Bad gateway</h1>")
        if kind == "restart":
            self.fake.restart()
            return "lose"
        return kind if kind in ("lose", "twice") else None


@pytest.mark.parametrize("seed", range(40))
async def test_every_event_is_stored_once_and_in_order(seed: int, fake: Fake, make: Make) -> None:
    chaos = Chaos(fake, seed)
    fake.fault = chaos
    chance = random.Random(seed + 1000)
    batch = Batch(delay=0.0005, max_events=7, max_bytes=600, queue_events=20, queue_bytes=3000)
    said: dict[str, list[int]] = {}

    async def one(bridge: Bridge) -> None:
        async with bridge.run(PLAN, "a") as run:
            said[run.id] = []
            for n in range(60):
                said[run.id].append(n)
                await run.publish(
                    {"type": "n", "n": n, "pad": "x" * chance.randrange(200)},
                    durable=chance.random() < 0.1,
                )

    async with make(batch=batch) as bridge:
        await asyncio.gather(*(one(bridge) for _ in range(4)))
    for run_id, numbers in said.items():
        stored = [event for event in fake.events() if event["runId"] == run_id]
        assert stored[0]["type"] == "agent_started"
        assert stored[-1]["type"] == "agent_completed"
        assert [event["n"] for event in stored[1:-1]] == numbers
    assert fake.most_in_flight == 1
    assert fake.largest_batch <= 7
    assert sum(chaos.counts.values()) > 20, chaos.counts


@pytest.mark.parametrize("seed", range(10))
async def test_what_is_refused_in_between_costs_no_other_event(
    seed: int, fake: Fake, make: Make
) -> None:
    fake.fault = Chaos(fake, seed)
    chance = random.Random(seed)
    async with make() as bridge, bridge.run(PLAN, "a") as run:
        events: list[dict[str, Any]] = [{"type": "n", "n": n} for n in range(100)]
        for event in events:
            if chance.random() < 0.2:
                name, value = chance.choice([("invalid", True), ("large", True), ("large", "body")])
                event[name] = value
        results = await asyncio.gather(
            *(run.publish(event, durable=True) for event in events), return_exceptions=True
        )
        good = [n for n, result in enumerate(results) if result is None]
        assert good == [n for n, event in enumerate(events) if len(event) == 2]
    assert [event["n"] for event in fake.events()[1:-1]] == good
    assert len(good) < 95


async def test_a_full_queue_makes_the_writer_wait(fake: Fake, make: Make) -> None:
    gate = asyncio.Event()

    async def hold(request: httpx.Request) -> None:
        await gate.wait()

    batch = Batch(delay=0, queue_events=5)
    async with make(batch=batch) as bridge, bridge.run(PLAN, "a", signals=False) as run:
        fake.fault = hold
        queued = 0

        async def write() -> None:
            nonlocal queued
            for n in range(20):
                await run.publish({"type": "n", "n": n})
                queued += 1

        writing = asyncio.create_task(write())
        await fake.until(lambda: len(fake.requests) == 2)
        for _ in range(100):
            await asyncio.sleep(0)
        assert queued == 5
        gate.set()
        await writing
    assert [event["n"] for event in fake.events()[1:-1]] == list(range(20))


async def test_what_is_queued_together_is_sent_together(fake: Fake, make: Make) -> None:
    async with make(batch=Batch(delay=5)) as bridge:
        async with bridge.run(PLAN, "a", signals=False) as run:
            async with run.message() as message:
                for _ in range(50):
                    await message.delta("x")
    sizes = [len(body["events"]) for method, _, body in fake.requests if method == "POST"]
    # The start; the message, whose end does not wait for the delay; the end.
    assert sizes == [1, 51, 1]


async def test_a_server_that_lost_its_last_moments_gets_them_again(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a") as run:
        for n in range(10):
            await run.publish({"type": "n", "n": n}, durable=True)
        producer = fake.requests[-1][2]["producer"]["id"]
        del fake.events()[8:]
        fake.thread(PLAN).producers[producer] = 8
        await run.publish({"type": "n", "n": 10}, durable=True)
    assert [event["n"] for event in fake.events()[1:-1]] == list(range(11))


async def test_a_server_that_lost_more_is_a_clear_error(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(ProducerGap):
            async with bridge.run(PLAN, "a") as run:
                for n in range(KEPT_EVENTS + 10):
                    await run.publish({"type": "n", "n": n})
                await run.flush()
                producer = fake.requests[-1][2]["producer"]["id"]
                fake.thread(PLAN).producers[producer] = 1
                await run.respond("what was lost can't come again")


async def test_heartbeats_keep_a_silent_run(fake: Fake, make: Make) -> None:
    async with make() as bridge, bridge.run(PLAN, "a", lease=1) as run:
        state = fake.thread(PLAN).runs[run.id]
        began = asyncio.get_running_loop().time()
        await fake.until(lambda: state.heartbeats == 2)
        # Two thirds of the lease; the bound is far, for a busy machine.
        assert 0.6 <= asyncio.get_running_loop().time() - began < 3
        state.cancelled = True
        await run.cancelled


async def test_a_heartbeat_tells_that_the_run_is_over(fake: Fake, make: Make) -> None:
    async with make() as bridge:
        with pytest.raises(RunOver):
            async with bridge.run(PLAN, "a", lease=1, signals=False) as run:
                state = fake.thread(PLAN).runs[run.id]
                state.open = False
                assert run._producer._task is not None
                await run._producer._task
                await run.thinking("late")
    assert [path.endswith("/events") for _, path, _ in fake.requests] == [True, False]


async def test_retry_after_is_obeyed(fake: Fake, make: Make) -> None:
    loop = asyncio.get_running_loop()
    answers = [httpx.Response(429, headers={"retry-after": "0.2"}, json={"code": "overloaded"})]
    fake.fault = lambda request: answers.pop() if answers else None
    began = loop.time()
    async with make() as bridge, bridge.run(PLAN, "a"):
        assert loop.time() - began >= 0.2

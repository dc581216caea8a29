"""The API without asyncio is the same code: what it publishes is the same."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agentwire import RunCancelled, UserMessage
from agentwire.sync import Bridge
from tests.conftest import FAST
from tests.fake import KEY, Fake
from tests.test_deliveries import message

PLAN = "ada/plan"


@pytest.fixture
def bridge(fake: Fake) -> Any:
    with Bridge("http://fake", key=KEY, transport=fake, retry=FAST) as bridge:
        yield bridge


def in_loop(bridge: Bridge, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, bridge._loop.loop).result(10)


def test_a_run(fake: Fake, bridge: Bridge) -> None:
    with bridge.run(PLAN, agent="triage") as run:
        run.thinking("Looking", step=1)
        with run.tool("search", {"q": 1}, purpose="x") as tool:
            tool.result = [1]
        with run.message() as m:
            m.delta("Hi")
        with run.child("sub") as sub:
            sub.respond("of the child")
        run.complete("Done")
    assert fake.types() == [
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "message_delta",
        "message_completed",
        "agent_started",
        "agent_response",
        "agent_completed",
        "agent_completed",
    ]
    assert fake.events()[3]["result"] == [1]


def test_an_exception(fake: Fake, bridge: Bridge) -> None:
    with pytest.raises(ValueError, match="secret"):
        with bridge.run(PLAN, agent="a"):
            raise ValueError("secret")
    assert fake.events()[-1]["message"] == "ValueError"


def test_ctrl_c_cancels(fake: Fake, bridge: Bridge) -> None:
    with pytest.raises(KeyboardInterrupt):
        with bridge.run(PLAN, agent="a"):
            raise KeyboardInterrupt
    assert fake.types()[-1] == "agent_cancelled"


def test_steering_and_a_cancel(fake: Fake, bridge: Bridge) -> None:
    with pytest.raises(RunCancelled):
        with bridge.run(PLAN, agent="a") as run:

            async def steer() -> None:
                signal = {"type": "steering", "sendId": "s-1", "offset": 4, "content": "more"}
                fake.signal(PLAN, run.id, signal)

            in_loop(bridge, steer())
            for m in run.steering():
                assert m.content == "more"

                async def cancel() -> None:
                    fake.signal(PLAN, run.id, {"type": "cancelled"})

                in_loop(bridge, cancel())
            run.cancelled.wait()
            assert run.cancelled
            run.thinking("never")
    assert fake.types() == ["agent_started", "steering_taken", "agent_cancelled"]


def test_two_threads_write_to_one_run(fake: Fake, bridge: Bridge) -> None:
    with bridge.run(PLAN, agent="a") as run:

        def write(who: int) -> None:
            for n in range(50):
                run.publish({"type": "n", "who": who, "n": n})

        threads = [threading.Thread(target=write, args=(who,)) for who in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for who in range(2):
        assert [e["n"] for e in fake.events() if e.get("who") == who] == list(range(50))


def test_a_worker_runs_handlers_in_threads(fake: Fake, bridge: Bridge) -> None:
    both = threading.Barrier(2, timeout=10)
    done = threading.Semaphore(0)

    @bridge.on_message
    def answer(message: UserMessage) -> None:
        both.wait()
        with bridge.run(message, agent="a") as run:
            run.respond("yes")
        done.release()

    async def deliver() -> None:
        fake.deliver(message(1))
        fake.deliver(message(2))

    in_loop(bridge, deliver())
    stopper = threading.Thread(target=lambda: (done.acquire(), done.acquire(), stop()))

    def stop() -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    stopper.start()
    bridge.work()
    stopper.join()
    assert fake.types().count("agent_completed") == 2


def test_closing_leaves_no_thread(fake: Fake) -> None:
    with Bridge("http://fake", key=KEY, transport=fake) as bridge:
        with bridge.run(PLAN, agent="a"):
            pass
    assert "agentwire" not in [thread.name for thread in threading.enumerate()]

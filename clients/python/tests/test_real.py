"""The library against the real server: AGENTWIRE_BRIDGE_BIN names its program."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentwire import Bridge, Retry
from agentwire.errors import InvalidEvent, KeyInvalid, NotFound, RunOver
from agentwire.sync import Bridge as SyncBridge

BIN = os.environ.get("AGENTWIRE_BRIDGE_BIN")
pytestmark = pytest.mark.skipif(
    not BIN, reason="set AGENTWIRE_BRIDGE_BIN to the program agentwire-bridge (cargo build)"
)
RETRY = Retry(first=0.02, longest=0.2, give_up=20.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The program, with its log in a folder of the test."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()  # one of its own, so that it can come again
        self.key = self.secret = ""
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._arguments = arguments

    async def start(self) -> None:
        self.process = await asyncio.to_thread(self._start)

    def _start(self) -> subprocess.Popen[str]:
        assert BIN is not None
        log = str(self._folder / "log.sqlite")
        process = subprocess.Popen(
            [BIN, "dev", "--listen", f"127.0.0.1:{self.port}", "--log", log, *self._arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = ""
        # It says what to paste into a backend: key and secret are in there.
        for line in process.stdout:
            said += line
            if found := re.search(r'Bridge\("[^"]*", key="([^"]+)"\)', line):
                self.key = found[1]
            if found := re.search(r'secret="([^"]+)"', line):
                self.secret = found[1]
            if "asyncio.run" in line or "include_router" in line:
                return process
        with process:
            process.kill()
        pytest.fail(f"the server did not start: {said!r}")

    def kill(self) -> None:
        """Nothing of what it was doing is finished."""
        with self.process:
            self.process.kill()


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Server]:
    server = Server(folder, *arguments)
    await server.start()
    try:
        yield server
    finally:
        server.kill()


async def stored(bridge: Bridge, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = await bridge.threads.events(key, start=len(found) + 1, limit=1000)
        found += page["events"]
        if len(found) >= page["head"]:
            return found


async def test_a_run(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:
        async with bridge.run("ada/plan", agent="triage", task="Sort") as run:
            await run.thinking("Looking", step=1, total_steps=2, progress=50)
            async with run.tool("search", {"q": "x"}) as tool:
                tool.result = [1]
            async with run.message() as message:
                await message.delta("Hel")
                await message.delta("lo\u2028")
            async with run.child("sub") as sub:
                await sub.respond("of the child")
            await run.report("slow", "It is slow")
            assert (await bridge.threads.runs("ada/plan"))["runs"][0]["runId"] == run.id
            await run.complete("Sorted", usage={"inputTokens": 1})
        events = await stored(bridge, "ada/plan")
        assert [event["type"] for event in events] == [
            "agent_started",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "message_delta",
            "message_delta",
            "message_completed",
            "agent_started",
            "agent_response",
            "agent_completed",
            "agent_error",
            "agent_completed",
        ]
        assert events[6]["content"] == "Hello\u2028"
        assert all(isinstance(event["time"], int) for event in events)


async def test_errors(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:
        async with Bridge(server.url, key="wrong") as other:
            with pytest.raises(KeyInvalid):
                await other.publish("t", {"type": "x"})
        with pytest.raises(InvalidEvent) as invalid:
            await bridge.publish("t", {"type": "x"}, {"type": "agent_thinking"})
        assert invalid.value.index == 1
        async with bridge.run("t", agent="a") as run:
            results = await asyncio.gather(
                run.publish({"type": "one"}, durable=True),
                run.publish({"type": "agent_thinking", "progress": 101}, durable=True),
                run.publish({"type": "big", "x": "y" * 2_000_000}, durable=True),
                run.publish({"type": "two"}, durable=True),
                return_exceptions=True,
            )
            assert [type(result).__name__ for result in results] == [
                "NoneType",
                "InvalidEvent",
                "TooLarge",
                "NoneType",
            ]
        with pytest.raises(NotFound):
            await bridge.transport.request("POST", "/v1/threads/t/runs/none/heartbeat")
        assert [event["type"] for event in await stored(bridge, "t")] == [
            "agent_started",
            "one",
            "two",
            "agent_completed",
        ]


async def test_a_server_that_is_killed_ten_times_has_each_event_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as server,
        Bridge(server.url, key=server.key, retry=RETRY) as bridge,
    ):
        kills = 0
        written = asyncio.Event()

        async def write(who: int) -> None:
            async with bridge.run("t", agent=f"a{who}") as run:
                n = 0
                while kills < 10 or n < 200:
                    await run.publish({"type": "n", "who": who, "n": n}, durable=n % 10 == 0)
                    n += 1
                    if n % 10 == 1:
                        written.set()
                await run.complete(result=n)

        writers = [asyncio.create_task(write(who)) for who in range(3)]
        while kills < 10:
            # Each time only after something new was written.
            written.clear()
            await written.wait()
            server.kill()
            await server.start()
            kills += 1
        await asyncio.gather(*writers)
        events = await stored(bridge, "t")
        for who in range(3):
            numbers = [event["n"] for event in events if event.get("who") == who]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) >= 200
        assert sorted(e["type"] for e in events if e["type"] != "n") == sorted(
            ["agent_started", "agent_completed"] * 3
        )


async def test_heartbeats_keep_the_lease(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:
        async with bridge.run("t", agent="silent", lease=1) as silent:
            with pytest.raises(RunOver):
                async with bridge.run("t", agent="dead", lease=1) as dead:
                    assert dead._producer._task is not None
                    dead._producer._task.cancel()  # its process hangs
                    await dead._signals.ended()
                    await silent.thinking("still here")
                    await bridge.publish("t", {"type": "agent_thinking", "runId": dead.id})
            await silent.respond("alive")
        events = await stored(bridge, "t")
        died = next(event for event in events if event["type"] == "agent_died")
        assert died["cause"] == "no_heartbeat"
        assert events[-1]["type"] == "agent_completed"


def test_without_asyncio(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:

            def work() -> None:
                with SyncBridge(server.url, key=server.key) as bridge:
                    with bridge.run("t", agent="a") as run:
                        run.respond("Hello")
                    kinds = [e["type"] for e in bridge.threads.events("t")["events"]]
                    assert kinds == ["agent_started", "agent_response", "agent_completed"]

            await asyncio.to_thread(work)

    asyncio.run(main())

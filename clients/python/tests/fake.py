"""A server in this process, written from docs/HTTP.md, whose faults the tests choose.

It is a transport of httpx: no socket, no time. What it stores survives `restart`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx

ENDS = {"agent_completed", "agent_cancelled", "agent_died"}
KEY = "key-of-tests"


def ends(event: dict[str, Any]) -> bool:
    return event["type"] in ENDS or (
        event["type"] == "agent_error" and not event.get("recoverable")
    )


class Refused(Exception):
    def __init__(self, status: int, code: str, **more: Any) -> None:
        self.status, self.code, self.more = status, code, more


@dataclass
class RunState:
    lease_ms: int
    open: bool = True
    cancelled: bool = False
    heartbeats: int = 0
    signals: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Thread:
    events: list[dict[str, Any]] = field(default_factory=list)
    producers: dict[str, int] = field(default_factory=dict)
    runs: dict[str, RunState] = field(default_factory=dict)


class Lines(httpx.AsyncByteStream):
    """A stream that lives until the server is restarted or the client leaves."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._source:
            yield chunk

    async def aclose(self) -> None:
        await self._source.aclose()  # type: ignore[attr-defined]


class Fake(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.threads: dict[str, Thread] = {}
        self.requests: list[tuple[str, str, Any]] = []
        #: Called before each request; may raise, return an answer, or return "lose" to apply it
        #: and lose the answer, "twice" to apply it twice.
        self.fault: Callable[[httpx.Request], Any] = lambda request: None
        #: The next publish is refused so.
        self.refuse_next: Refused | None = None
        self.outdated: set[str] = set()
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[tuple[str, dict[str, Any]]] = []
        self.deliveries: list[dict[str, Any]] = []
        #: How many workers hold a connection.
        self.workers = 0
        self.in_flight: dict[str, int] = {}
        self.most_in_flight = 0
        self.largest_batch = 0
        self.generation = 0
        self._changed = asyncio.Event()

    # What tests do.

    def thread(self, key: str) -> Thread:
        return self.threads.setdefault(key, Thread())

    def events(self, key: str = "ada/plan") -> list[dict[str, Any]]:
        return self.thread(key).events

    def types(self, key: str = "ada/plan") -> list[str]:
        return [event["type"] for event in self.events(key)]

    def signal(self, key: str, run_id: str, signal: dict[str, Any]) -> None:
        run = self.thread(key).runs[run_id]
        if signal["type"] == "cancelled":
            run.cancelled = True
        run.signals.append(signal)
        self.change()

    def deliver(self, delivery: dict[str, Any]) -> None:
        self.deliveries.append(delivery)
        self.change()

    def restart(self) -> None:
        """All streams end; what was written stays."""
        self.generation += 1
        self.change()

    def change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits for the change after which the condition holds."""
        async with asyncio.timeout(10):
            while not condition():
                await self._changed.wait()

    # The server.

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        path = request.url.raw_path.decode().partition("?")[0]
        parsed = json.loads(body) if body else None
        self.requests.append((request.method, path, parsed))
        self.change()
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return self.error(Refused(401, "key_invalid"))
        producer = (parsed or {}).get("producer", {}).get("id", "")
        self.in_flight[producer] = self.in_flight.get(producer, 0) + 1
        if producer:
            self.most_in_flight = max(self.most_in_flight, self.in_flight[producer])
        try:
            fault = self.fault(request)
            if asyncio.iscoroutine(fault):
                fault = await fault
            if isinstance(fault, httpx.Response):
                return fault
            try:
                answer = self._route(request, path, parsed)
                if fault == "twice":
                    answer = self._route(request, path, parsed)
            except Refused as refused:
                answer = self.error(refused)
            if fault == "lose":
                raise httpx.ReadError("the connection broke", request=request)
            return answer
        finally:
            self.in_flight[producer] -= 1
            self.change()

    def error(self, refused: Refused) -> httpx.Response:
        body = {"code": refused.code, "message": f"refused: {refused.code}", **refused.more}
        return httpx.Response(refused.status, json=body)

    def _route(self, request: httpx.Request, path: str, body: Any) -> httpx.Response:
        parts = path.strip("/").split("/")
        if parts[:2] == ["v1", "threads"] and len(parts) > 3:
            key, rest = unquote(parts[2]), parts[3:]
            if rest == ["events"]:
                return httpx.Response(200, json=self._publish(self.thread(key), body))
            if rest[0] == "runs" and len(rest) == 3:
                run = self.thread(key).runs.get(unquote(rest[1]))
                if run is None:
                    raise Refused(404, "not_found")
                if rest[2] == "heartbeat":
                    run.heartbeats += 1
                    answer = {"runId": rest[1], "isOpen": run.open, "isCancelled": run.cancelled}
                    return httpx.Response(200, json=answer)
                return httpx.Response(200, stream=Lines(self._signals(run)))
        if parts[:2] == ["v1", "deliveries"]:
            if len(parts) == 2:
                return httpx.Response(200, stream=Lines(self._deliveries()))
            into = self.accepted if parts[3] == "accept" else self.refused
            into.append((unquote(parts[2]), body))
            return httpx.Response(200, json={})
        raise Refused(404, "not_found")

    def _publish(self, thread: Thread, body: dict[str, Any]) -> dict[str, Any]:
        events, producer = body["events"], body.get("producer")
        refused, self.refuse_next = self.refuse_next, None
        if refused is not None:
            raise refused
        if not 1 <= len(events) <= 1000:
            raise Refused(400, "bad_request")
        first, skip = 1, 0
        if producer:
            done = thread.producers.get(producer["id"], 0)
            first = producer["seq"]
            if first > done + 1:
                raise Refused(409, "producer_gap", expected=done + 1)
            skip = min(len(events), done + 1 - first)
        new = events[skip:]
        self._check(thread, body, new, skip)
        for event in new:
            self._apply(thread, body, event)
        self.largest_batch = max(self.largest_batch, len(events))
        if producer and new:
            thread.producers[producer["id"]] = first + len(events) - 1
        runs = {event.get("runId") for event in events}
        return {
            "epoch": "e-1",
            "offset": len(thread.events),
            "seq": thread.producers[producer["id"]] if producer else None,
            "applied": len(new),
            "repeated": skip,
            "cancelled": [
                r for r, s in thread.runs.items() if r in runs and s.open and s.cancelled
            ],
        }

    def _check(
        self, thread: Thread, body: dict[str, Any], new: list[dict[str, Any]], skip: int
    ) -> None:
        claim = body.get("claim")
        if claim and new and claim["sendId"] in self.outdated:
            raise Refused(409, "outdated")
        asked = {e.get("approvalId") for e in thread.events if e["type"] == "approval_requested"}
        over = {run_id for run_id, run in thread.runs.items() if not run.open}
        for at, event in enumerate(new):
            if not isinstance(event.get("type"), str) or event.get("invalid"):
                raise Refused(422, "invalid_event", index=at + skip)
            if event.get("large") == "body":
                raise Refused(413, "too_large")
            if event.get("large"):
                raise Refused(413, "too_large", index=at + skip)
            if event.get("runId") in over:
                raise Refused(409, "run_over")
            if event["type"] == "approval_requested" and event["approvalId"] in asked:
                raise Refused(409, "approval_conflict")
            if ends(event):
                over.add(event["runId"])

    def _apply(self, thread: Thread, body: dict[str, Any], event: dict[str, Any]) -> None:
        thread.events.append(event)
        run_id = event.get("runId")
        if run_id is None:
            return
        run = thread.runs.setdefault(run_id, RunState(body.get("leaseMs", 30_000)))
        if ends(event):
            run.open = False
            run.signals.append({"type": "over"})

    async def _signals(self, run: RunState) -> AsyncIterator[bytes]:
        async for chunk in self._stream(run.signals, lambda line: line == {"type": "over"}):
            yield chunk

    async def _deliveries(self) -> AsyncIterator[bytes]:
        self.workers += 1
        try:
            async for chunk in self._stream(self.deliveries, lambda line: False):
                yield chunk
        finally:
            self.workers -= 1
            self.change()

    async def _stream(
        self, source: list[dict[str, Any]], last: Callable[[dict[str, Any]], bool]
    ) -> AsyncIterator[bytes]:
        # Each connection gets all of it again, cut anywhere.
        generation, sent = self.generation, 0
        while self.generation == generation:
            changed = self._changed
            lines = [json.dumps(line, ensure_ascii=False).encode() for line in source[sent:]]
            sent += len(lines)
            data = b"".join(line + b"\n" for line in lines) + b"\n"
            for at in range(0, len(data), 7):
                yield data[at : at + 7]
            if sent and last(source[sent - 1]):
                return
            await changed.wait()
        raise httpx.ReadError("the server stopped")

"""A page, as far as these tests need one: docs/PROTOCOL.md over a WebSocket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any, Self

import httpx
import websockets


class Page:
    def __init__(self, url: str, stream: str, user: str = "ada") -> None:
        self._url, self._stream, self._user = url, stream, user
        self.events: list[dict[str, Any]] = []
        self.receipts: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self._url}/dev/token", params={"user": self._user})
        address = self._url.replace("http", "ws") + "/ws"
        self._socket = await websockets.connect(address, subprotocols=["agentwire.v1"])
        await self._send(
            type="hello",
            token=answer.text,
            client={"name": "tests", "version": "0"},
            window={"events": 32768, "bytes": 8388608, "totalBytes": 16777216},
            streams=[{"name": self._stream}],
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._reader

    async def _send(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    async def _read(self) -> None:
        async for text in self._socket:
            frame = json.loads(text)
            if frame["type"] in ("events", "deltas"):
                self.events += frame.get("events", [])
            elif frame["type"] == "receipt":
                self.receipts[frame["id"]] = frame
            elif frame["type"] in ("error", "unsubscribed"):
                raise AssertionError(frame)
            elif frame["type"] == "ping":
                await self._send(type="pong", id=frame.get("id"))
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(20):
            while not (found := condition()):
                await self._changed.wait()
            return found

    async def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event of this type with these fields, now or when it comes."""

        def find() -> dict[str, Any] | None:
            for event in self.events:
                if event["type"] == kind and fields.items() <= event.items():
                    return event
            return None

        return await self.until(find)  # type: ignore[no-any-return]

    async def ask(self, kind: str = "send", **fields: Any) -> dict[str, Any]:
        """Sends a message or a request, and waits for its receipt."""
        sent = uuid.uuid4().hex
        if "content" in fields:
            fields["message"] = {"type": "user_message", "content": fields.pop("content")}
        await self._send(type=kind, id=sent, stream=self._stream, **fields)
        return await self.until(lambda: self.receipts.get(sent))  # type: ignore[no-any-return]

"""The parts of a run that have a beginning and an end: tool calls and messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from agentwire._describe import describe
from agentwire._json import given

__all__ = ["Message", "Tool", "Write"]


class Write(Protocol):
    async def __call__(
        self, event: Mapping[str, Any], *, durable: bool = False, forced: bool = False
    ) -> None: ...


class Tool:
    """A tool call. Leaving the block completes it with `result`, an exception fails it."""

    def __init__(
        self, write: Write, run_id: str, call_id: str, name: str, started: Mapping[str, Any]
    ) -> None:
        self._write = write
        self._run_id = run_id
        self._started = started
        self._began = time.monotonic()
        self._over = False
        #: The id of the call.
        self.id = call_id
        self.name = name
        #: What it returned: set it inside the block.
        self.result: Any = None

    async def start(self) -> Self:
        """What entering the block does."""
        self._began = time.monotonic()
        await self._write(self._started)
        return self

    async def args_delta(self, text: str) -> None:
        """A piece of the JSON text of its arguments, while a model writes them."""
        await self._write(
            {
                "type": "tool_args_delta",
                "runId": self._run_id,
                "toolCallId": self.id,
                "text": text,
            }
        )

    async def complete(self, result: Any = None) -> None:
        """Returns when it is durable."""
        await self._end(True, result=result)

    async def fail(self, error: str, *, result: Any = None) -> None:
        """Returns when it is durable. `error` is shown to people: put no secrets into it."""
        await self._end(False, error=error, result=result)

    async def _end(self, success: bool, *, forced: bool = False, **fields: Any) -> None:
        if self._over:
            return
        self._over = True
        await self._write(
            {
                "type": "tool_completed",
                "runId": self._run_id,
                "toolCallId": self.id,
                "success": success,
                "toolName": self.name,
                "durationMs": int((time.monotonic() - self._began) * 1000),
                **given(**fields),
            },
            # The end of the run that follows waits for what is forced.
            durable=not forced,
            forced=forced,
        )

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self._end(True, result=self.result)
        elif isinstance(error, asyncio.CancelledError):
            await self._end(False, forced=True, error="cancelled")
        else:
            await self._end(False, forced=True, error=describe(error))


class Message:
    """A message that is written in pieces. Leaving the block sends the whole of it."""

    def __init__(self, write: Write, run_id: str, message_id: str) -> None:
        self._write = write
        self._run_id = run_id
        self._text: list[str] = []
        self._over = False
        #: The id of the message.
        self.id = message_id

    @property
    def content(self) -> str:
        """All pieces so far."""
        return "".join(self._text)

    async def delta(self, text: str) -> None:
        """Returns when the piece is queued."""
        if not text:
            return
        await self._write(
            {
                "type": "message_delta",
                "runId": self._run_id,
                "messageId": self.id,
                "text": text,
            }
        )
        self._text.append(text)

    async def complete(self, content: str | None = None) -> None:
        """Sets the message to `content`, else to its pieces. Returns when it is durable."""
        await self._end(self.content if content is None else content)

    async def interrupt(self) -> None:
        """Ends it where it is: its agent stopped before the end."""
        await self._end(self.content, interrupted=True)

    async def _end(
        self, content: str, *, interrupted: bool | None = None, forced: bool = False
    ) -> None:
        if self._over:
            return
        self._over = True
        await self._write(
            {
                "type": "message_completed",
                "runId": self._run_id,
                "messageId": self.id,
                "content": content,
                **given(interrupted=interrupted),
            },
            durable=not forced,
            forced=forced,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._text:
            return  # nothing was said, so there is no message
        if error is None:
            await self._end(self.content)
        else:
            await self._end(self.content, interrupted=True, forced=True)

"""A run: its beginning, its end, and what users do to it while it works."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from agentwire._cancelled import Cancelled
from agentwire._ends import (
    BY_USER,
    STOPPED,
    Severity,
    cancelled_event,
    completed_event,
    end_of,
    error_event,
)
from agentwire._json import encode, given
from agentwire._listen import Listener
from agentwire._producer import Producer
from agentwire._signals import Signals
from agentwire._transport import Transport, reason
from agentwire.deliveries import UserMessage
from agentwire.errors import (
    AgentwireError,
    BadRequest,
    InvalidEvent,
    RunCancelled,
    TooLarge,
    run_over,
)
from agentwire.options import Batch

__all__ = ["Host", "OnCancel", "Run"]

log = logging.getLogger("agentwire")

OnCancel = Literal["raise", "ignore"]
# How long a run that is torn down waits for its last events, in seconds.
LAST_WORDS = 5.0


class Host(Protocol):
    """What a run needs of its bridge."""

    transport: Transport
    batch: Batch
    lease: float

    def run_opened(self, run: Run) -> None: ...
    def run_closed(self, run: Run) -> None: ...


class Run(Listener):
    """`async with bridge.run(...) as run`. Made by `Bridge.run` and `Run.child`."""

    def __init__(
        self,
        host: Host,
        thread: str,
        *,
        agent: str,
        task: str | None = None,
        parent: Run | str | None = None,
        message: UserMessage | None = None,
        lease: float | None = None,
        run_id: str | None = None,
        on_cancel: OnCancel = "raise",
        signals: bool = True,
        traceparent: str | None = None,
    ) -> None:
        lease = host.lease if lease is None else lease
        if traceparent is None and message is not None:
            traceparent = message.event.get("traceparent")
        if not 1 <= lease <= 86_400:
            raise ValueError("a lease is 1 to 86,400 seconds")
        self.id = run_id or f"run-{uuid.uuid4().hex}"
        self.thread = thread
        self.agent = agent
        #: Whether a user has cancelled the run; can be awaited.
        self.cancelled = Cancelled()
        self._host = host
        self._transport = host.transport
        self._parent = parent if isinstance(parent, Run) else None
        self._message = message
        self._lease = lease
        self._on_cancel = on_cancel
        self._listens = signals
        self._children: set[Run] = set()
        self._ended = False
        self._started = {
            "type": "agent_started",
            "runId": self.id,
            "agent": agent,
            **given(
                sendId=message.send_id if message else None,
                parentRunId=parent.id if isinstance(parent, Run) else parent,
                task=task,
                traceparent=traceparent,
            ),
        }
        self._producer = Producer(
            host.transport, thread, self.id, lease, host.batch, self._cancelled_by_server
        )
        self._signals = Signals(host.transport, thread, self.id, self._set_cancelled)

    # Beginning and end.

    async def __aenter__(self) -> Self:
        if self._parent is not None:
            # What the parent said before its child began comes before it in the log.
            await self._parent.flush()
        extra: dict[str, object] = {"leaseMs": int(self._lease * 1000)}
        if self._message is not None:
            extra["claim"] = self._message.claim
            if self._message.before_claim is not None:
                await self._message.before_claim()
        self._producer.start()
        try:
            await self._producer.put(encode(self._started), durable=True, extra=extra)
        except asyncio.CancelledError:
            # The server may have the start by now: then it gets the end as well.
            await self._last_words(cancelled_event(self.id, STOPPED))
            await self._close()
            raise
        except BaseException:
            await self._close()
            raise
        if self._message is not None:
            self._message.is_claimed = True
        if self._parent is not None:
            self._parent._children.add(self)
            if self._parent.cancelled:
                self._set_cancelled()
        self._host.run_opened(self)
        if self._listens:
            self._signals.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._ended:
                if error is None:
                    self._producer.raise_unseen()
            elif error is None:
                if self.cancelled:
                    await self._end(cancelled_event(self.id, BY_USER))
                else:
                    await self._end(completed_event(self.id))
                self._producer.raise_unseen()
            else:
                await self._last_words(end_of(self.id, error, was_cancelled=bool(self.cancelled)))
        finally:
            await self._close()

    async def complete(
        self,
        summary: str | None = None,
        *,
        result: Any = None,
        duration_ms: int | None = None,
        usage: Mapping[str, int] | None = None,
    ) -> None:
        """Ends the run well. `usage`: `inputTokens`, `outputTokens`, `totalTokens`."""
        self._check()
        await self._end(
            completed_event(
                self.id, summary=summary, result=result, durationMs=duration_ms, usage=usage
            )
        )

    async def fail(
        self,
        code: str,
        message: str | None = None,
        *,
        severity: Severity = "high",
        suggestions: Sequence[Any] | None = None,
        retry_after_ms: int | None = None,
        user_message: str | None = None,
        details: Any = None,
    ) -> None:
        """Ends the run with an error."""
        await self._end(
            error_event(
                self.id,
                code,
                message,
                severity=severity,
                recoverable=False,
                suggestions=suggestions,
                retry_after_ms=retry_after_ms,
                user_message=user_message,
                details=details,
            )
        )

    async def cancel(self, reason: str | None = None) -> None:
        """Ends the run as cancelled."""
        if reason is None and self.cancelled:
            reason = BY_USER
        await self._end(cancelled_event(self.id, reason))

    # Parts of a run.

    def child(
        self,
        agent: str,
        *,
        task: str | None = None,
        lease: float | None = None,
        run_id: str | None = None,
        on_cancel: OnCancel | None = None,
        signals: bool = False,
    ) -> Run:
        """A sub-agent. It is cancelled with this run."""
        return Run(
            self._host,
            self.thread,
            agent=agent,
            task=task,
            parent=self,
            lease=self._lease if lease is None else lease,
            run_id=run_id,
            on_cancel=on_cancel or self._on_cancel,
            signals=signals,
        )

    async def flush(self) -> None:
        await self._producer.flush()

    def feed(self, signal: Mapping[str, Any]) -> None:
        """Takes a delivery of a webhook or a worker that is for this run."""
        self._signals.feed(signal)

    # Writing.

    async def _write(
        self, event: Mapping[str, Any], *, durable: bool = False, forced: bool = False
    ) -> None:
        if not forced:
            self._check()
            await self._producer.put(encode(event), durable=durable)
            return
        # Something is torn down by an exception, which must not be lost to another one.
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._producer.put(encode(event), durable=durable)
        except (AgentwireError, TimeoutError) as error:
            log.info("%s of the run %s is not written: %s", event["type"], self.id, reason(error))

    def _check(self) -> None:
        if self._ended:
            raise run_over(self.id)
        if self.cancelled and self._on_cancel == "raise":
            raise RunCancelled(f"a user cancelled the run {self.id}")

    async def _end(self, event: Mapping[str, Any]) -> None:
        if self._ended:
            raise run_over(self.id)
        data = encode(event)
        self._ended = True
        try:
            await self._producer.put(data, durable=True)
        except (InvalidEvent, TooLarge, BadRequest):
            self._ended = False  # only this event was refused: the run needs another end
            raise

    async def _last_words(self, event: Mapping[str, Any]) -> None:
        """The end after an exception. If it can't be written, the lease ends the run."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._end(event)
        except (AgentwireError, TimeoutError) as error:
            log.warning("the end of the run %s is not written: %s", self.id, reason(error))

    async def _close(self) -> None:
        self._ended = True
        self._host.run_closed(self)
        if self._parent is not None:
            self._parent._children.discard(self)
        await self._signals.close()
        await self._producer.close()

    def _cancelled_by_server(self, run_ids: list[str]) -> None:
        if self.id in run_ids:
            self._set_cancelled()

    def _set_cancelled(self) -> None:
        if self.cancelled.is_set():
            return
        self.cancelled._set()
        if self._on_cancel == "raise":
            self._signals.wake()
        for child in tuple(self._children):
            child._set_cancelled()

"""What users do to a run: its signals, each one once, across reconnects."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import quote

import httpx

from agentwire._transport import Transport, can_repeat, reason, thread_path
from agentwire.errors import ApiError

__all__ = ["Answer", "Signals", "SteeringMessage"]

log = logging.getLogger("agentwire")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided."""

    decision: Literal["approved", "denied", "expired"]
    #: What the person filled in.
    payload: Any = None
    #: The arguments as the person changed them.
    edited_args: Any = None
    #: Why, in the words of the person.
    reason: str | None = None
    #: Who decided; None if it expired.
    user: str | None = None

    @property
    def approved(self) -> bool:
        return self.decision == "approved"


@dataclass(frozen=True, slots=True)
class SteeringMessage:
    """A message of the user for a run that works."""

    send_id: str
    offset: int
    text: int
    content: str
    user: str | None = None
    event: Mapping[str, Any] = field(default_factory=dict)


class Signals:
    """Reads `/signals` from `start` on. Deliveries of the run can be fed in, too."""

    def __init__(
        self, transport: Transport, thread: str, run_id: str, on_cancelled: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._path = f"{thread_path(thread)}/runs/{quote(run_id, safe='')}/signals"
        self._run_id = run_id
        self._on_cancelled = on_cancelled
        self._task: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._steering: deque[SteeringMessage] = deque()
        self._offsets: set[int] = set()
        self._changed = asyncio.Event()
        self._error: Exception | None = None
        self._over = False

    def start(self) -> None:
        if self._task is None and not self._over:
            self._task = asyncio.create_task(self._read(), name=f"agentwire signals {self._run_id}")

    async def close(self) -> None:
        task, self._task = self._task, None
        self._over = True
        self._change()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def answer(self, approval_id: str) -> asyncio.Future[Answer]:
        """Is done when somebody has decided. Starts to listen."""
        self.start()
        future = self._future(approval_id)
        if self._error is not None and not future.done():
            future.set_exception(self._error)
        return future

    async def next_steering(self, *, wait: bool) -> SteeringMessage | None:
        """None: there is none now (without `wait`), or there will be none any more."""
        self.start()
        while not self._steering:
            if self._error is not None:
                raise self._error
            if self._over or not wait:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._steering.popleft()

    def wake(self) -> None:
        """The run was cancelled: nothing is waited for any more."""
        self._over = True
        self._change()

    async def ended(self) -> None:
        """Returns when nothing comes any more: the run is over, or was cancelled."""
        while not self._over:
            self._changed.clear()
            await self._changed.wait()

    def feed(self, signal: Mapping[str, Any]) -> None:
        kind = signal.get("type")
        if kind in ("cancelled", "run_cancelled"):
            self._on_cancelled()
        elif kind == "approval_resolved":
            self._resolve(signal)
        elif kind == "steering":
            self._steer(signal)
        elif kind == "over":
            self._over = True
            self._change()

    def _future(self, approval_id: str) -> asyncio.Future[Answer]:
        future = self._answers.get(approval_id)
        if future is None or future.cancelled():
            future = asyncio.get_running_loop().create_future()
            self._answers[approval_id] = future
        return future

    def _resolve(self, signal: Mapping[str, Any]) -> None:
        approval_id = signal.get("approvalId")
        decision = signal.get("decision")
        if not isinstance(approval_id, str) or decision not in ("approved", "denied", "expired"):
            log.warning("a decision for the run %s has an unknown form", self._run_id)
            return
        future = self._future(approval_id)
        if future.done():
            return  # the same signal again
        future.set_result(
            Answer(
                decision=cast(Literal["approved", "denied", "expired"], decision),
                payload=signal.get("payload"),
                edited_args=signal.get("editedArgs"),
                reason=signal.get("reason"),
                user=signal.get("user"),
            )
        )

    def _steer(self, signal: Mapping[str, Any]) -> None:
        offset, send_id = signal.get("offset"), signal.get("sendId")
        if not isinstance(offset, int) or not isinstance(send_id, str):
            log.warning("a message for the run %s has an unknown form", self._run_id)
            return
        if offset in self._offsets:
            return
        self._offsets.add(offset)
        self._steering.append(
            SteeringMessage(
                send_id=send_id,
                offset=offset,
                text=int(signal.get("text") or offset),
                content=str(signal.get("content") or ""),
                user=signal.get("user"),
                event=signal.get("event") or {},
            )
        )
        self._change()

    def _change(self) -> None:
        self._changed.set()

    async def _read(self) -> None:
        failures = 0
        while not self._over:
            try:
                async with self._transport.lines(self._path) as lines:
                    async for line in lines:
                        failures = 0
                        if line is not None:
                            self.feed(line)
                failures += 1
            except (ApiError, httpx.RequestError) as error:
                if not can_repeat(error):
                    self._fail(error)
                    return
                failures += 1
                log.info("signals of the run %s: %s; again", self._run_id, reason(error))
            if not self._over:
                await asyncio.sleep(self._transport.retry.wait(failures))

    def _fail(self, error: Exception) -> None:
        log.warning("the signals of the run %s can't be read: %s", self._run_id, error)
        self._error = error
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error)
        self._change()

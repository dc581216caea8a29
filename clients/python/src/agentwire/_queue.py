"""The events of a run that wait to be written, and those that were written last."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentwire.options import Batch

__all__ = ["Item", "Queue"]

# A server that lost its last moments can ask for events again: so many of them are kept.
KEPT_EVENTS = 500
KEPT_BYTES = 1024 * 1024


@dataclass(slots=True, eq=False)
class Item:
    """One event on its way."""

    data: bytes
    #: Members of the request that has this event: `leaseMs` and `claim` of the start of a run.
    extra: dict[str, object] = field(default_factory=dict)
    #: Who waits until it is durable.
    waiters: list[asyncio.Future[None]] = field(default_factory=list)


class Queue:
    """Bounded; who writes waits for room, and the first who waits goes first."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: deque[Item] = deque()
        self._flying: list[Item] = []
        self._kept: deque[Item] = deque()
        self._kept_bytes = 0
        self._bytes = 0
        self._with_waiters = 0
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        #: Something waits to be sent.
        self.filled = asyncio.Event()
        #: What waits should be sent without delay: somebody waits for it, or a batch is full.
        self.urgent = asyncio.Event()
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    async def put(self, item: Item) -> None:
        async with self._turn:
            while self._error is None and not self._has_room(len(item.data)):
                self._room.clear()
                self.urgent.set()
                await self._room.wait()
            if self._error is not None:
                raise self._error
            self._waiting.append(item)
            self._bytes += len(item.data)
            self._with_waiters += bool(item.waiters)
            self.filled.set()
            if self._is_urgent():
                self.urgent.set()

    def _has_room(self, more: int) -> bool:
        if not len(self):
            return True  # an event larger than the queue goes alone
        return (
            len(self) < self._batch.queue_events and self._bytes + more <= self._batch.queue_bytes
        )

    def _is_urgent(self) -> bool:
        return (
            self._with_waiters > 0
            or len(self._waiting) >= self._batch.max_events
            or self._bytes >= self._batch.max_bytes
        )

    def last_future(self) -> asyncio.Future[None] | None:
        """Is done when all that was put is durable; None if it is so now."""
        items = self._waiting or self._flying
        if not items:
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        items[-1].waiters.append(future)
        if self._waiting:
            self._with_waiters += len(items[-1].waiters) == 1
            self.urgent.set()
        return future

    def take(self) -> list[Item]:
        """The next batch. It counts until `written` or `dropped`."""
        size = 0
        while self._waiting and len(self._flying) < self._batch.max_events:
            size += len(self._waiting[0].data)
            if self._flying and size > self._batch.max_bytes:
                break
            item = self._waiting.popleft()
            self._with_waiters -= bool(item.waiters)
            self._flying.append(item)
        if not self._waiting:
            self.filled.clear()
        if not self._is_urgent():
            self.urgent.clear()
        return list(self._flying)

    def written(self, items: Iterable[Item]) -> None:
        for item in items:
            self._leave(item)
            for waiter in item.waiters:
                if not waiter.done():
                    waiter.set_result(None)
            item.waiters.clear()
            self._kept.append(item)
            self._kept_bytes += len(item.data)
        while len(self._kept) > KEPT_EVENTS or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().data)

    def dropped(self, item: Item, error: BaseException) -> bool:
        """The server refused it. False if nobody waits for it, so that nobody was told."""
        self._leave(item)
        told = False
        for waiter in item.waiters:
            if not waiter.done():
                waiter.set_exception(error)
                told = True
        item.waiters.clear()
        return told

    def _leave(self, item: Item) -> None:
        self._flying.remove(item)
        self._bytes -= len(item.data)
        self._room.set()

    def last_written(self, count: int) -> list[Item] | None:
        """The last `count` events that were written, if they are still here."""
        if count > len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - count :]

    def forget(self) -> None:
        """What was written can't be asked for again: a new producer begins."""
        self._kept.clear()
        self._kept_bytes = 0

    def fail(self, error: BaseException) -> None:
        """Nothing more is written: who waits, and who writes from now on, gets the error."""
        self._error = error
        for item in (*self._flying, *self._waiting):
            for waiter in item.waiters:
                if not waiter.done():
                    waiter.set_exception(error)
        self._flying.clear()
        self._waiting.clear()
        self._bytes = 0
        self._room.set()

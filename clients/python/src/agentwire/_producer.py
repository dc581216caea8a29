"""Writes the events of one run: one request at a time, each event once and in order."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from agentwire._json import encode
from agentwire._queue import Item, Queue
from agentwire._transport import Transport, can_repeat, reason, thread_path
from agentwire.errors import (
    AgentwireError,
    ApiError,
    ApprovalConflict,
    BadRequest,
    InvalidEvent,
    ProducerGap,
    TooLarge,
    run_over,
)
from agentwire.options import Batch

__all__ = ["Producer"]

log = logging.getLogger("agentwire")

# The server forgets a producer after 24 hours without an event, and would then take a repeat for
# something new. A run that was silent for so long goes on under another id.
NEW_ID_AFTER = 12 * 3600.0


class Producer:
    def __init__(
        self,
        transport: Transport,
        thread: str,
        run_id: str,
        lease: float,
        batch: Batch,
        on_cancelled: Callable[[list[str]], None],
    ) -> None:
        self._transport = transport
        self._path = thread_path(thread)
        self._run_id = run_id
        self._beat = lease / 3
        self._batch = batch
        self._on_cancelled = on_cancelled
        self._queue = Queue(batch)
        self._id = _new_id()
        self._seq = 1  # number of the next event that is not written
        self._error: BaseException | None = None
        self._unseen: BaseException | None = None
        self._sign_of_life = 0.0
        self._last_write = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._sign_of_life = self._last_write = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._loop(), name=f"agentwire {self._run_id}")

    async def close(self) -> None:
        """Stops at once: who wants the rest to be written calls `flush` before."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.fail(run_over(self._run_id))

    async def put(
        self, data: bytes, *, durable: bool, extra: dict[str, object] | None = None
    ) -> None:
        """Queues an event, and with `durable` waits until the server has written it."""
        self.raise_unseen()
        item = Item(data, extra or {})
        future: asyncio.Future[None] | None = None
        if durable:
            future = asyncio.get_running_loop().create_future()
            item.waiters.append(future)
        await self._queue.put(item)
        if future is not None:
            await future

    async def flush(self) -> None:
        """Waits until all that was queued is durable."""
        self.raise_unseen()
        if self._error is not None:
            raise self._error
        future = self._queue.last_future()
        if future is not None:
            await future
        self.raise_unseen()

    def raise_unseen(self) -> None:
        """An event that nobody waited for was refused: the next write reports it, once."""
        error, self._unseen = self._unseen, None
        if error is not None:
            raise error

    def fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._queue.fail(error)

    async def _loop(self) -> None:
        try:
            while self._error is None:
                if not await self._wait_for_events():
                    await self._heartbeat()
                    continue
                batch = self._queue.take()
                if batch:
                    await self._write(batch)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A fault of this library must not leave writers waiting for ever.
            log.exception("the run %s can't be written any more", self._run_id)
            self.fail(error)

    async def _wait_for_events(self) -> bool:
        """True if a batch is ready, false if it is time for a heartbeat."""
        quiet_until = self._sign_of_life + self._beat
        try:
            async with asyncio.timeout_at(quiet_until):
                await self._queue.filled.wait()
        except TimeoutError:
            return False
        try:
            async with asyncio.timeout(self._batch.delay):
                await self._queue.urgent.wait()
        except TimeoutError:
            pass
        return True

    async def _heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        path = f"{self._path}/runs/{self._run_id}/heartbeat"
        try:
            answer = await self._transport.once("POST", path, timeout=self._beat)
        except (ApiError, httpx.RequestError) as error:
            if can_repeat(error):
                self._next_beat_soon(error)
            else:
                self.fail(error)
            return
        self._sign_of_life = loop.time()
        if answer.get("isCancelled") is True:
            self._on_cancelled([self._run_id])
        if answer.get("isOpen") is False:
            self.fail(run_over(self._run_id))

    def _next_beat_soon(self, error: BaseException) -> None:
        log.info("no heartbeat for the run %s: %s", self._run_id, reason(error))
        now = asyncio.get_running_loop().time()
        self._sign_of_life = now - self._beat + min(self._beat, self._transport.retry.wait(3))

    async def _write(self, batch: list[Item]) -> None:
        """Sends a batch until each event of it is written or refused."""
        now = asyncio.get_running_loop().time()
        if now - self._last_write > NEW_ID_AFTER:
            self._id, self._seq = _new_id(), 1
            self._queue.forget()
        while batch and self._error is None:
            try:
                await self._send(batch)
                return
            except (InvalidEvent, TooLarge, ApprovalConflict, BadRequest) as error:
                at = error.index
                if at is not None and 0 <= at < len(batch):
                    # It used no number, so those after it move up.
                    self._refuse(batch.pop(at), error)
                elif len(batch) > 1:
                    # One of the events is the reason: alone it shows which one.
                    for item in batch:
                        await self._write([item])
                    return
                else:
                    self._refuse(batch[0], error)
                    return
            except AgentwireError as error:
                self.fail(error)
                return

    async def _send(self, batch: list[Item]) -> None:
        first, items = self._seq, batch
        try:
            answer = await self._post(first, items)
        except ProducerGap as gap:
            # The server has less than it confirmed. What is still here can be sent again.
            expected = gap.expected
            before = (
                self._queue.last_written(first - expected)
                if expected is not None and 1 <= expected < first
                else None
            )
            if before is None or expected is None:
                raise
            answer = await self._post(expected, [*before, *batch])
        now = asyncio.get_running_loop().time()
        self._sign_of_life = self._last_write = now
        self._seq = first + len(batch)
        self._queue.written(batch)
        cancelled = answer.get("cancelled")
        if isinstance(cancelled, list) and cancelled:
            self._on_cancelled([run for run in cancelled if isinstance(run, str)])

    async def _post(self, first: int, items: list[Item]) -> dict[str, Any]:
        for at in range(0, len(items), 1000):
            part = items[at : at + 1000]
            head = b'{"producer":{"id":"%s","seq":%d}' % (self._id.encode(), first + at)
            extra = {name: value for item in part for name, value in item.extra.items()}
            body = b"".join(
                (
                    head,
                    *(b',"%s":%s' % (n.encode(), encode(v)) for n, v in extra.items()),
                    b',"events":[',
                    b",".join(item.data for item in part),
                    b"]}",
                )
            )
            answer = await self._transport.request("POST", f"{self._path}/events", content=body)
        return answer

    def _refuse(self, item: Item, error: ApiError) -> None:
        told = self._queue.dropped(item, error)
        if item.extra:  # without its start there is no run
            self.fail(error)
        elif not told:
            log.warning("an event of the run %s was refused: %s", self._run_id, error)
            self._unseen = error


def _new_id() -> str:
    # A new one in each process, for each run: an old id would mean old numbers.
    return f"py-{uuid.uuid4().hex}"

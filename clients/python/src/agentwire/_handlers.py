"""Runs the handlers of deliveries: each message once at a time, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from agentwire._describe import describe
from agentwire.deliveries import Delivery, UserMessage
from agentwire.errors import AgentwireError, NotFound, Outdated, RunCancelled, RunOver

__all__ = ["DeliveryHandler", "Handlers", "MessageHandler", "Settle"]

log = logging.getLogger("agentwire")

MessageHandler = Callable[[UserMessage], Awaitable[None]]
DeliveryHandler = Callable[[Delivery], Awaitable[None]]
# A message whose handler failed before a run claimed it comes again; the last time it is refused.
ATTEMPTS = 3


class Settle(Protocol):
    """Tells the server about a message that no run has claimed."""

    async def done(self, delivery: Delivery) -> None: ...
    async def refuse(self, delivery: Delivery, message: str) -> None: ...


class Handlers:
    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_message: MessageHandler | None = None
        self.on_delivery: DeliveryHandler | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, delivery: Delivery) -> None:
        """Runs the handler as a task. Another attempt of what is being worked on is left."""
        if delivery.id in self._tasks:
            return
        task = asyncio.create_task(self._run(delivery), name=f"agentwire {delivery.id}")
        self._tasks[delivery.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(delivery.id, None))

    async def finish(self, grace: float) -> None:
        """Waits for the handlers, and cancels those that take longer than `grace` seconds."""
        tasks = tuple(self._tasks.values())
        if not tasks:
            return
        try:
            _, slow = await asyncio.wait(tasks, timeout=grace)
        except asyncio.CancelledError:
            await self._cancel(tasks)
            raise
        await self._cancel(slow)

    async def _cancel(self, tasks: Collection[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, delivery: Delivery) -> None:
        try:
            if isinstance(delivery, UserMessage):
                await self._answer(delivery)
            elif self.on_delivery is not None:
                await self.on_delivery(delivery)
        except Exception:
            log.exception("the handler of the delivery %s failed", delivery.id)

    async def _answer(self, message: UserMessage) -> None:
        if self.on_message is None:
            raise AgentwireError("no handler: give one to `on_message` before messages come")
        try:
            await self.on_message(message)
        except (Outdated, RunCancelled) as error:
            log.info("the message %s is left: %s", message.id, error)
        except RunOver as error:
            log.warning("the message %s: %s", message.id, error)
        except Exception as error:
            if message.is_claimed:
                log.exception("the handler of the message %s failed", message.id)
            elif message.attempt < ATTEMPTS:
                log.exception(
                    "the handler of the message %s failed in attempt %d; it comes again",
                    message.id,
                    message.attempt,
                )
            else:
                log.exception("the handler of the message %s failed; it is refused", message.id)
                await self._tell(self._settle.refuse(message, describe(error)))
        else:
            if not message.is_claimed:
                await self._tell(self._settle.done(message))

    async def _tell(self, call: Awaitable[None]) -> None:
        try:
            await call
        except NotFound:
            pass  # over, or with another worker by now
        except AgentwireError as error:
            log.warning("the server was not told how a message ended: %s", error)

"""Runs the handlers of deliveries: each one once at a time, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from agentwire._describe import describe
from agentwire._settle import Settle, Settlement
from agentwire.deliveries import Delivery, UserMessage
from agentwire.errors import AgentwireError, Outdated, RunCancelled, RunOver

__all__ = ["DeliveryHandler", "Handlers", "MessageHandler"]

log = logging.getLogger("agentwire")

MessageHandler = Callable[[UserMessage], Awaitable[None]]
DeliveryHandler = Callable[[Delivery], Awaitable[None]]
# A message whose handler failed before a run claimed it comes again; the last time it is refused.
ATTEMPTS = 3


class Handlers:
    def __init__(self) -> None:
        self._settlements: dict[str, Settlement] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_message: MessageHandler | None = None
        self.on_delivery: DeliveryHandler | None = None

    def __len__(self) -> int:
        return len(self._settlements)

    def start(self, delivery: Delivery, settle: Settle) -> None:
        """Runs the handler as a task; another attempt of what is worked on does not."""
        known = self._settlements.get(delivery.id)
        if known is not None:
            self._spawn(known.another(settle))
            return
        settlement = Settlement(delivery, settle)
        self._settlements[delivery.id] = settlement
        self._spawn(self._run(delivery, settlement))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="agentwire delivery")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, grace: float) -> None:
        """Waits for the handlers, and cancels those that take longer than `grace` seconds."""
        tasks = tuple(self._tasks)
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

    async def _run(self, delivery: Delivery, settlement: Settlement) -> None:
        try:
            if isinstance(delivery, UserMessage):
                await self._answer(delivery, settlement)
            else:
                await settlement.tell("accept")
                if self.on_delivery is not None:
                    await self.on_delivery(delivery)
        except Exception:
            log.exception("the handler of the delivery %s failed", delivery.id)
        finally:
            del self._settlements[delivery.id]

    async def _answer(self, message: UserMessage, settlement: Settlement) -> None:
        message.before_claim = settlement.before_claim
        in_time = asyncio.create_task(settlement.accept_in_time())
        try:
            if self.on_message is None:
                raise AgentwireError("no handler: give one to `on_message` before messages come")
            await self.on_message(message)
        except asyncio.CancelledError:
            await settlement.tell("again", "stopped")
            raise
        except (Outdated, RunCancelled) as error:
            log.info("the message %s is left: %s", message.id, error)
            await settlement.tell("accept")
        except RunOver as error:
            log.warning("the message %s: %s", message.id, error)
            await settlement.tell("accept")
        except Exception as error:
            await self._failed(message, settlement, error)
        else:
            await settlement.tell("accept" if message.is_claimed else "done")
        finally:
            in_time.cancel()

    async def _failed(self, message: UserMessage, settlement: Settlement, error: Exception) -> None:
        name, attempt = message.id, message.attempt
        if message.is_claimed:
            log.error("the handler of the message %s failed", name, exc_info=error)
        elif attempt < ATTEMPTS:
            text = "the handler of the message %s failed in attempt %d; it comes again"
            log.error(text, name, attempt, exc_info=error)
            await settlement.tell("again", describe(error))
        else:
            log.error("the handler of the message %s failed; it is refused", name, exc_info=error)
            await settlement.tell("refuse", describe(error))

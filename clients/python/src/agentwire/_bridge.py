"""`Bridge`: one server, for a whole process."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from agentwire._handlers import DeliveryHandler, Handlers, MessageHandler
from agentwire._run import OnCancel, Run
from agentwire._settle import AlreadyAccepted, Settle
from agentwire._threads import Threads
from agentwire._transport import Transport, thread_path
from agentwire._worker import receive
from agentwire.deliveries import Delivery, UserMessage
from agentwire.events import AgentEvent
from agentwire.options import Batch, Retry

__all__ = ["Bridge"]

SIGNALS = ("run_cancelled", "approval_resolved", "steering")


class Bridge:
    """The server `agentwire-bridge`. Use one for the whole process: it holds the connections.

    `url` is AGENTWIRE_URL and `key` is AGENTWIRE_KEY if they are not given. `lease` (seconds) is
    how long the server waits for a sign of life of a run, `timeout` (seconds) for one answer.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        lease: float = 30.0,
        batch: Batch | None = None,
        retry: Retry | None = None,
        timeout: float = 15.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = url or os.environ.get("AGENTWIRE_URL")
        key = key or os.environ.get("AGENTWIRE_KEY")
        if not url:
            raise ValueError("no address: give Bridge a url, or set AGENTWIRE_URL")
        if not key:
            raise ValueError("no service key: give Bridge a key, or set AGENTWIRE_KEY")
        self.transport = Transport(url, key, retry or Retry(), timeout, transport)
        self.batch = batch or Batch()
        self.lease = lease
        #: Threads, their members and their events.
        self.threads = Threads(self.transport)
        self._runs: dict[tuple[str, str], Run] = {}
        self._handlers = Handlers()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace: float = 30.0) -> None:
        """Waits for the handlers of webhooks up to `grace` seconds, and closes the connections."""
        try:
            await self._handlers.finish(grace)
        finally:
            await self.transport.close()

    # Runs.

    def run(
        self,
        thread: str | UserMessage,
        agent: str,
        *,
        task: str | None = None,
        parent: Run | str | None = None,
        lease: float | None = None,
        run_id: str | None = None,
        on_cancel: OnCancel = "raise",
        signals: bool = True,
        traceparent: str | None = None,
    ) -> Run:
        """A run in the thread with this key, or one that answers (and claims) a message.

        `signals=False` holds no stream open for the run: it is told of a cancel by the answers
        to what it writes. `on_cancel="ignore"` only sets `run.cancelled`.
        """
        message = thread if isinstance(thread, UserMessage) else None
        return Run(
            self,
            thread.thread if isinstance(thread, UserMessage) else thread,
            agent=agent,
            task=task,
            parent=parent,
            message=message,
            lease=lease,
            run_id=run_id,
            on_cancel=on_cancel,
            signals=signals,
            traceparent=traceparent,
        )

    async def publish(self, thread: str, *events: AgentEvent | Mapping[str, Any]) -> dict[str, Any]:
        """Writes events outside of a run as one record. Returns when they are durable."""
        return await self.transport.request(
            "POST",
            f"{thread_path(thread)}/events",
            body={"events": list(events)},
            headers={"idempotency-key": uuid.uuid4().hex},
        )

    async def revoke(self, user: str) -> int:
        """Closes all sockets of a user and refuses their tokens: how many sockets there were."""
        return await self.threads.revoke(user)

    def run_opened(self, run: Run) -> None:
        self._runs[run.thread, run.id] = run

    def run_closed(self, run: Run) -> None:
        self._runs.pop((run.thread, run.id), None)

    # Deliveries.

    def on_message(self, handler: MessageHandler) -> MessageHandler:
        """The handler of messages: `@bridge.on_message`."""
        self._handlers.on_message = handler
        return handler

    def on_delivery(self, handler: DeliveryHandler) -> DeliveryHandler:
        """The handler of all other deliveries. Runs of this process get theirs without it."""
        self._handlers.on_delivery = handler
        return handler

    @property
    def working_on(self) -> int:
        """How many handlers run now."""
        return len(self._handlers)

    def deliver(self, delivery: Delivery, settle: Settle | None = None) -> None:
        """Starts the handler of a delivery, and returns at once.

        Without `settle` it counts as accepted: by a webhook of your own that answers with 2xx.
        """
        if delivery.type in SIGNALS and delivery.run_id is not None:
            run = self._runs.get((delivery.thread, delivery.run_id))
            if run is not None:
                run.feed(delivery.fields)
        self._handlers.start(delivery, settle or AlreadyAccepted())

    async def work(
        self,
        max: int = 16,
        *,
        grace: float = 30.0,
        stop: asyncio.Event | None = None,
        handle_sigterm: bool = True,
    ) -> None:
        """Takes deliveries until SIGTERM, `stop` or its cancellation, at most `max` at once.

        Then it takes no more, and waits up to `grace` seconds for the handlers that run.
        """
        if not 1 <= max <= 1000:
            raise ValueError("max is 1 to 1,000: so many deliveries a worker can work on at once")
        if self._handlers.on_message is None:
            raise ValueError("no handler: give one to `on_message` before `work`")
        stop = stop or asyncio.Event()
        loop = asyncio.get_running_loop()
        handles = handle_sigterm and _add_handler(loop, stop)
        receiver = asyncio.create_task(receive(self.transport, self.deliver, max))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((receiver, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiver, stopped):
                task.cancel()
            await asyncio.wait((receiver, stopped))
            try:
                await self._handlers.finish(grace)
            finally:
                if handles:
                    loop.remove_signal_handler(signal.SIGTERM)
        if not receiver.cancelled():
            receiver.result()


def _add_handler(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> bool:
    try:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    except (NotImplementedError, RuntimeError, ValueError):
        return False  # Windows, or not the main thread
    return True

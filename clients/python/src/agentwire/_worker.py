"""Holds `GET /v1/deliveries` open, and accepts what comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

import httpx

from agentwire._transport import Transport, can_repeat, reason
from agentwire.deliveries import Delivery, parse
from agentwire.errors import AgentwireError, ApiError, BridgeUnreachable, NotFound

__all__ = ["Acknowledge", "receive"]

log = logging.getLogger("agentwire")

# How long a worker that stops waits for the answers to its last `accept`, in seconds.
LAST_ACCEPTS = 5.0


class Acknowledge:
    """`accept` and `refuse` of deliveries."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def accept(self, delivery: Delivery) -> None:
        await self._post(delivery, "accept", {})

    async def done(self, delivery: Delivery) -> None:
        await self._post(delivery, "accept", {"done": True})

    async def refuse(self, delivery: Delivery, message: str) -> None:
        await self._post(delivery, "refuse", {"message": message})

    async def _post(self, delivery: Delivery, what: str, fields: dict[str, object]) -> None:
        await self._transport.request(
            "POST",
            f"/v1/deliveries/{quote(delivery.id, safe='')}/{what}",
            body={"attempt": delivery.attempt, **fields},
        )


async def receive(
    transport: Transport, acknowledge: Acknowledge, take: Callable[[Delivery], None], limit: int
) -> None:
    """Runs until it is cancelled. Only an answer that comes again (such as 401) ends it."""
    failures = 0
    accepting: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                async with transport.lines("/v1/deliveries", {"max": str(limit)}) as lines:
                    log.info("waiting for deliveries")
                    async for line in lines:
                        failures = 0
                        if line is None:
                            continue
                        task = asyncio.create_task(_accept(acknowledge, parse(line), take))
                        accepting.add(task)
                        task.add_done_callback(accepting.discard)
                failures += 1
            except (ApiError, httpx.RequestError) as error:
                if not can_repeat(error):
                    raise
                failures += 1
                log.info("deliveries: %s; again", reason(error))
            await asyncio.sleep(transport.retry.wait(failures))
    finally:
        # What is being accepted is worked on; what comes after it goes to another worker.
        if accepting:
            _, slow = await asyncio.wait(tuple(accepting), timeout=LAST_ACCEPTS)
            for task in slow:
                task.cancel()


async def _accept(
    acknowledge: Acknowledge, delivery: Delivery, take: Callable[[Delivery], None]
) -> None:
    try:
        await acknowledge.accept(delivery)
    except NotFound:
        return  # over, or with another worker by now
    except BridgeUnreachable as error:
        log.info("the delivery %s is left: %s", delivery.id, error)
        return
    except AgentwireError as error:
        log.warning("the delivery %s could not be accepted: %s", delivery.id, error)
        return
    take(delivery)

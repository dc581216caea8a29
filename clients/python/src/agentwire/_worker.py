"""Holds `GET /v1/deliveries` open, and reconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import httpx

from agentwire._settle import Settle, WorkerSettle
from agentwire._transport import Transport, can_repeat, reason
from agentwire.deliveries import Delivery, parse
from agentwire.errors import AgentwireError, ApiError

__all__ = ["receive"]

log = logging.getLogger("agentwire")


async def receive(
    transport: Transport, take: Callable[[Delivery, Settle], None], limit: int
) -> None:
    """Runs until it is cancelled. Only an answer that comes again (such as 401) ends it."""
    failures = 0
    while True:
        try:
            async with transport.lines("/v1/deliveries", {"max": str(limit)}) as lines:
                log.info("waiting for deliveries")
                async for line in lines:
                    failures = 0
                    if line is not None:
                        _take(line, transport, take)
            failures += 1
        except (ApiError, httpx.RequestError) as error:
            if not can_repeat(error):
                raise
            failures += 1
            log.info("deliveries: %s; again", reason(error))
        await asyncio.sleep(transport.retry.wait(failures))


def _take(
    line: dict[str, Any], transport: Transport, take: Callable[[Delivery, Settle], None]
) -> None:
    try:
        delivery = parse(line)
    except AgentwireError as error:
        # One that this version does not know must not keep the others away.
        log.error("a delivery is left: %s", error)
        return
    take(delivery, WorkerSettle(transport, delivery))

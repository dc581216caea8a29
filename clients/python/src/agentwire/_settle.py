"""Says to the server what becomes of a delivery, each thing once."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol
from urllib.parse import quote

from agentwire._transport import Transport
from agentwire.deliveries import Delivery
from agentwire.errors import AgentwireError, NotFound, Outdated

__all__ = ["AlreadyAccepted", "Settle", "Settlement", "WorkerSettle"]

log = logging.getLogger("agentwire")


class Settle(Protocol):
    """The ways to answer a delivery. `done` and `refuse` can also come after `accept`."""

    #: When it is accepted although no run has claimed it yet, in seconds.
    accept_after: float

    async def accept(self) -> None: ...
    async def done(self) -> None:
        """A message is left without a run."""

    async def again(self, message: str) -> None:
        """Its handler failed: it shall come again."""

    async def refuse(self, message: str) -> None:
        """It shall not come again."""


class WorkerSettle:
    # A delivery goes to another worker if it is not accepted within 30 seconds.
    accept_after = 20.0

    def __init__(self, transport: Transport, delivery: Delivery) -> None:
        self._transport = transport
        self._path = f"/v1/deliveries/{quote(delivery.id, safe='')}"
        self._attempt = delivery.attempt

    async def accept(self) -> None:
        await self._post("accept", {})

    async def done(self) -> None:
        await self._post("accept", {"done": True})

    async def again(self, message: str) -> None:
        pass  # it comes again because nobody accepts it

    async def refuse(self, message: str) -> None:
        await self._post("refuse", {"message": message})

    async def _post(self, what: str, fields: dict[str, object]) -> None:
        body = {"attempt": self._attempt, **fields}
        await self._transport.request("POST", f"{self._path}/{what}", body=body)


class AlreadyAccepted:
    """For a delivery that somebody else has answered."""

    accept_after = 0.0

    async def accept(self) -> None: ...
    async def done(self) -> None: ...
    async def again(self, message: str) -> None: ...
    async def refuse(self, message: str) -> None: ...


class Settlement:
    """One answer for all attempts of a delivery that this process works on."""

    def __init__(self, delivery: Delivery, settle: Settle) -> None:
        self._delivery = delivery
        self._settle = settle
        self._is_accepted = False
        self._is_over = False
        self._turn = asyncio.Lock()

    async def before_claim(self) -> None:
        """The server keeps a place of a worker for the run only if this comes before its start."""
        try:
            await self._once("accept")
        except NotFound as error:
            self._is_over = True
            text = f"another worker has the message {self._delivery.id} by now"
            raise Outdated(409, "outdated", text) from error

    async def accept_in_time(self) -> None:
        """A handler that prepares its run for long keeps its message."""
        await asyncio.sleep(self._settle.accept_after)
        await self.tell("accept")

    async def another(self, settle: Settle) -> None:
        """The delivery came again while its handler works."""
        self._settle = settle
        self._is_over = False
        if self._is_accepted:
            self._is_accepted = False
            await self.tell("accept")

    async def tell(self, what: str, *arguments: str) -> None:
        """Says it, if it is something new. What fails is logged: the delivery comes again."""
        try:
            await self._once(what, *arguments)
        except NotFound:
            pass  # over, or with another worker by now
        except AgentwireError as error:
            log.warning("no answer to the delivery %s: %s", self._delivery.id, error)

    async def _once(self, what: str, *arguments: str) -> None:
        async with self._turn:
            if self._is_over or (self._is_accepted and what in ("accept", "again")):
                return
            await getattr(self._settle, what)(*arguments)
            if what == "accept":
                self._is_accepted = True
            else:
                self._is_over = True

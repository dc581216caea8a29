"""What users say to a run: decisions, and messages while it works."""

from __future__ import annotations

import asyncio
import uuid
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from agentwire._emit import Emitter
from agentwire._json import given
from agentwire._signals import Answer, Signals, SteeringMessage
from agentwire._transport import Transport
from agentwire.errors import run_over

__all__ = ["Listener"]


class Listener(Emitter):
    _signals: Signals
    _transport: Transport
    _ended: bool

    @abstractmethod
    def _check(self) -> None:
        """Raises if the run is over, or was cancelled."""

    async def ask(
        self,
        prompt: str,
        *,
        options: Sequence[Any] | None = None,
        schema: Mapping[str, Any] | bool | None = None,
        args: Any = None,
        editable: bool | None = None,
        tool_call_id: str | None = None,
        expires_in: float | None = None,
        approval_id: str | None = None,
    ) -> Answer:
        """Asks a person and waits for the decision; `expires_in` is in seconds.

        `args` are what the person decides about, and with `editable` may change.
        """
        approval_id = approval_id or f"ask-{uuid.uuid4().hex}"
        expires_at = None
        if expires_in is not None:
            expires_at = self._transport.server_time_ms() + int(expires_in * 1000)
        await self._write(
            {
                "type": "approval_requested",
                "runId": self.id,
                "approvalId": approval_id,
                "prompt": prompt,
                **given(
                    toolCallId=tool_call_id,
                    options=None if options is None else list(options),
                    schema=schema,
                    args=args,
                    editable=editable,
                    expiresAt=expires_at,
                ),
            },
            durable=True,
        )
        answer = self._signals.answer(approval_id)
        ended = asyncio.ensure_future(self._signals.ended())
        try:
            await asyncio.wait((answer, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if answer.done():
            return answer.result()
        self._check()
        raise run_over(self.id)

    async def steering(self, *, wait: bool = True) -> AsyncIterator[SteeringMessage]:
        """Messages of users for this run. Each one is taken (`steering_taken`) as it is given.

        Ends with the run, and when it is cancelled; without `wait` as soon as there is none.
        """
        while not self._ended:
            message = await self._signals.next_steering(wait=wait)
            if message is None:
                return
            await self._write(
                {"type": "steering_taken", "runId": self.id, "sendId": message.send_id},
                durable=True,
            )
            yield message

"""What the server delivers to a backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentwire.errors import AgentwireError

__all__ = ["Delivery", "UserMessage", "parse"]


@dataclass(slots=True)
class Delivery:
    """One delivery. `fields` is all of it, as it came."""

    id: str
    type: str
    attempt: int
    #: The key of the thread, as the methods of `Bridge` take it.
    thread: str
    #: The name of the thread, as its user knows it.
    thread_name: str
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def user(self) -> str | None:
        return self.fields.get("user")

    @property
    def run_id(self) -> str | None:
        return self.fields.get("runId")


@dataclass(slots=True)
class UserMessage(Delivery):
    """A message of a user. Give it to `Bridge.run`, so that the run claims it."""

    send_id: str = ""
    content: str = ""
    event: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: What the run has to name, so that an edited message is not answered.
    claim: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lease_ms: int = 30_000
    #: Whether a run has claimed it.
    is_claimed: bool = False
    #: What a run does before it claims it; set by whoever received it.
    before_claim: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)


def parse(fields: Mapping[str, Any]) -> Delivery:
    """A delivery of its JSON. Unknown types and fields are passed on."""
    thread = fields.get("thread")
    thread = thread if isinstance(thread, Mapping) else {}
    delivery = Delivery(
        id=_text(fields, "id"),
        type=_text(fields, "type"),
        attempt=_number(fields, "attempt"),
        thread=_text(thread, "key"),
        thread_name=_text(thread, "name"),
        fields=fields,
    )
    if delivery.type != "message":
        return delivery
    event = fields.get("event")
    lease = fields.get("leaseMs")
    return UserMessage(
        id=delivery.id,
        type=delivery.type,
        attempt=delivery.attempt,
        thread=delivery.thread,
        thread_name=delivery.thread_name,
        fields=fields,
        send_id=_text(fields, "sendId"),
        content=_text(fields, "content"),
        event=event if isinstance(event, Mapping) else {},
        claim={name: fields.get(name) for name in ("sendId", "offset", "text")},
        lease_ms=lease if isinstance(lease, int) else 30_000,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise AgentwireError(f"a delivery has no text `{name}`: is the server of this version?")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int):
        raise AgentwireError(f"a delivery has no number `{name}`: is the server of this version?")
    return value

"""Checks webhooks as Standard Webhooks says, and takes each one once. Needs no framework."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from agentwire.deliveries import Delivery, parse
from agentwire.errors import AgentwireError, WebhookRefused

__all__ = ["TOLERANCE", "Seen", "sign", "verify"]

#: How far the timestamp may be away, in seconds.
TOLERANCE = 300


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    now: float | None = None,
) -> Delivery:
    """The delivery of a webhook, or `WebhookRefused`. `body` is what came, byte by byte.

    With several secrets one of them has to fit: give old and new while they are changed.
    """
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("no secret: give at least one")
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id = _header(given, "webhook-id")
    timestamp = _header(given, "webhook-timestamp")
    signatures = _header(given, "webhook-signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookRefused("the header webhook-timestamp is not a number of seconds")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise WebhookRefused("the timestamp is more than 5 minutes away; check both clocks")
    if not _fits(keys, webhook_id, timestamp, body, signatures):
        raise WebhookRefused("no signature fits: check that both sides have the same secret")
    try:
        fields: Any = json.loads(body)
        if not isinstance(fields, dict):
            raise WebhookRefused("the body is not a JSON object", 400)
        return parse(fields)
    except (ValueError, RecursionError) as error:
        raise WebhookRefused("the body is not JSON", 400) from error
    except WebhookRefused:
        raise
    except AgentwireError as error:
        raise WebhookRefused(str(error), 400) from error


def sign(webhook_id: str, timestamp: int, body: bytes, secret: str) -> str:
    """The header `webhook-signature`; for tests of your route."""
    return "v1," + _signature(_key(secret), webhook_id, str(timestamp), body)


class Seen:
    """Remembers which attempts came, as many as fit."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()

    def is_new(self, delivery: Delivery) -> bool:
        """True once for each `id` and `attempt`."""
        key = (delivery.id, delivery.attempt)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True


def _fits(
    keys: Sequence[bytes], webhook_id: str, timestamp: str, body: bytes, signatures: str
) -> bool:
    # All are compared, each in constant time: the time says nothing about the secret.
    fits = False
    for key in keys:
        expected = _signature(key, webhook_id, timestamp, body).encode()
        for signature in signatures.split(" ")[:16]:
            version, _, value = signature.partition(",")
            same = hmac.compare_digest(expected, value.encode("utf-8", errors="replace"))
            fits |= version == "v1" and same
    return fits


def _signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    head = f"{webhook_id}.{timestamp}.".encode("utf-8", errors="replace")
    return base64.b64encode(hmac.digest(key, head + body, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not key:
        raise ValueError("a webhook secret is empty")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookRefused(f"the header {name} is missing")
    return value

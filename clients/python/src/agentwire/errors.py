"""The errors of this library. Each one of the server has its code as a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AgentFailed",
    "AgentwireError",
    "ApiError",
    "ApprovalConflict",
    "BadRequest",
    "BridgeUnreachable",
    "Forbidden",
    "InvalidEvent",
    "KeyConflict",
    "KeyInvalid",
    "NotFound",
    "Outdated",
    "Overloaded",
    "ProducerGap",
    "RunCancelled",
    "RunOver",
    "TooLarge",
    "Unavailable",
    "WebhookRefused",
]


class AgentwireError(Exception):
    """What all errors of this library have in common."""


class BridgeUnreachable(AgentwireError):
    """The server did not answer, or not usefully, for as long as `Retry.give_up` says.

    Nothing is known of what was sent last: it may be written. `__cause__` is the last failure.
    """


class RunCancelled(AgentwireError):
    """A user cancelled the run. Leave the block; the run then ends with `agent_cancelled`."""


class AgentFailed(AgentwireError):
    """Raise it inside a run to end the run with this `code` and this text.

    Of other exceptions only the class reaches the page, because their text can hold secrets.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        user_message: str | None = None,
        retry_after_ms: int | None = None,
        details: Any = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.user_message = user_message
        self.retry_after_ms = retry_after_ms
        self.details = details


class WebhookRefused(AgentwireError):
    """A webhook whose signature, timestamp or body is not valid. Answer it with `status`."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class ApiError(AgentwireError):
    """The server refused a request: docs/HTTP.md lists the codes."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        index: int | None = None,
        expected: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({status} {code})")
        self.status = status
        self.code = code
        self.message = message
        #: Place of the event in what was sent, from 0 (`invalid_event`).
        self.index = index
        #: The number that the server waits for (`producer_gap`).
        self.expected = expected
        #: Seconds, from the header `Retry-After`.
        self.retry_after = retry_after

    @property
    def can_repeat(self) -> bool:
        """Whether the same request can succeed later."""
        return self.status in (408, 429) or self.status >= 500


class BadRequest(ApiError):
    """400: the body or a parameter has the wrong form."""


class KeyInvalid(ApiError):
    """401: no service key, or one that the server does not know."""


class Forbidden(ApiError):
    """403: the key may not do this, or not with this thread."""


class NotFound(ApiError):
    """404: there is no such run, delivery, thread, producer or event."""


class ProducerGap(ApiError):
    """409: events before these are missing, and are no longer here to be sent again."""


class RunOver(ApiError):
    """409: the run is over, so it takes no more events."""


class ApprovalConflict(ApiError):
    """409: an approval was resolved twice, or its id was used before."""


class Outdated(ApiError):
    """409: the message was edited or withdrawn before the run claimed it. Leave it."""


class KeyConflict(ApiError):
    """409: the idempotency key was used for another body."""


class TooLarge(ApiError):
    """413: the body or an event is too large."""


class InvalidEvent(ApiError):
    """422: an event is not valid."""


class Overloaded(ApiError):
    """429: too much at once."""


class Unavailable(ApiError):
    """503: the log cannot be used now, or the server stops."""


_BY_CODE: dict[str, type[ApiError]] = {
    "bad_request": BadRequest,
    "key_invalid": KeyInvalid,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "producer_gap": ProducerGap,
    "run_over": RunOver,
    "approval_conflict": ApprovalConflict,
    "outdated": Outdated,
    "key_conflict": KeyConflict,
    "too_large": TooLarge,
    "invalid_event": InvalidEvent,
    "overloaded": Overloaded,
    "unavailable": Unavailable,
}


def api_error(status: int, body: object, retry_after: float | None) -> ApiError:
    """The error of an answer; a body of another form (of a proxy, say) gives a general one."""
    fields: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    code = fields.get("code")
    message = fields.get("message")
    if not isinstance(code, str):
        code = f"http_{status}"
    if not isinstance(message, str):
        message = "the answer is not one of agentwire-bridge; check the address"
    index = fields.get("index")
    expected = fields.get("expected")
    return _BY_CODE.get(code, ApiError)(
        status,
        code,
        message,
        index=index if isinstance(index, int) else None,
        expected=expected if isinstance(expected, int) else None,
        retry_after=retry_after,
    )


def run_over(run_id: str) -> RunOver:
    """The error for a write to a run that this process knows to be over."""
    return RunOver(409, "run_over", f"the run {run_id} is over, so it takes no more events")

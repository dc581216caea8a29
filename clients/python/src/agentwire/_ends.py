"""The events that end a run, and which one an exception makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from agentwire._describe import describe
from agentwire._json import given
from agentwire.errors import AgentFailed, RunCancelled

__all__ = [
    "BY_USER",
    "STOPPED",
    "Severity",
    "cancelled_event",
    "completed_event",
    "end_of",
    "error_event",
]

Severity = Literal["critical", "high", "medium", "low"]

BY_USER = "cancelled by a user"
STOPPED = "stopped"


def completed_event(run_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "agent_completed", "runId": run_id, **given(**fields)}


def cancelled_event(run_id: str, reason: str | None) -> dict[str, Any]:
    return {"type": "agent_cancelled", "runId": run_id, **given(reason=reason)}


def end_of(run_id: str, error: BaseException, *, was_cancelled: bool) -> dict[str, Any]:
    """The end of a run whose block is left by this exception."""
    if isinstance(error, AgentFailed):
        return error_event(
            run_id,
            error.code,
            error.message,
            severity="high",
            recoverable=False,
            user_message=error.user_message,
            retry_after_ms=error.retry_after_ms,
            details=error.details,
        )
    if isinstance(error, Exception) and not isinstance(error, RunCancelled):
        return error_event(
            run_id, "agent_failed", describe(error), severity="high", recoverable=False
        )
    # A task that is cancelled, and the end of the process: nobody is at fault.
    return cancelled_event(run_id, BY_USER if was_cancelled else STOPPED)


def error_event(
    run_id: str,
    code: str,
    message: str | None,
    *,
    severity: Severity,
    recoverable: bool,
    suggestions: Sequence[Any] | None = None,
    retry_after_ms: int | None = None,
    user_message: str | None = None,
    details: Any = None,
) -> dict[str, Any]:
    return {
        "type": "agent_error",
        "runId": run_id,
        "code": code,
        "severity": severity,
        "recoverable": recoverable,
        **given(
            message=message,
            suggestions=None if suggestions is None else list(suggestions),
            retryAfterMs=retry_after_ms,
            userMessage=user_message,
            details=details,
        ),
    }

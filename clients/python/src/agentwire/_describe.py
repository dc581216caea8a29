"""What a page may know of an exception."""

from __future__ import annotations

from agentwire.errors import AgentFailed

__all__ = ["describe"]


def describe(error: BaseException) -> str:
    """Only the class: the text of an exception can hold addresses, keys and data of others."""
    if isinstance(error, AgentFailed):
        return error.message
    return type(error).__name__

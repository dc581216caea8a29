"""What an adapter knows at the end of a stream, and how it closes what is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentwire._parts import Message, Tool

__all__ = ["Done", "close"]


@dataclass(slots=True)
class Done:
    #: What the agent returned; None if the stream did not say.
    output: Any = None
    #: `inputTokens`, `outputTokens` and `totalTokens`, for `Run.complete`.
    usage: dict[str, int] = field(default_factory=dict)

    def count(self, read: object, written: object) -> None:
        for name, count in (
            ("inputTokens", read),
            ("outputTokens", written),
        ):
            if isinstance(count, int):
                self.usage[name] = self.usage.get(name, 0) + count
        if self.usage:
            self.usage["totalTokens"] = self.usage.get("inputTokens", 0) + self.usage.get(
                "outputTokens", 0
            )


async def close(parts: Iterable[Message | Tool], error: BaseException | None) -> None:
    """Messages and tool calls that the stream has left open."""
    for part in parts:
        if isinstance(part, Tool) and error is None:
            await part.fail("it did not end")
        else:
            await part.__aexit__(type(error) if error else None, error, None)

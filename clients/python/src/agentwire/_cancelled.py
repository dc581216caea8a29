"""Whether a user has cancelled a run: a flag that can also be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

__all__ = ["Cancelled"]


class Cancelled:
    """`if run.cancelled`, `await run.cancelled`, `run.cancelled.is_set()`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()

    def __await__(self) -> Generator[object, None, None]:
        return self.wait().__await__()

    def _set(self) -> None:
        self._event.set()

"""What can be set. Times are in seconds, sizes in bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Batch", "Retry"]


@dataclass(frozen=True, slots=True)
class Batch:
    """How the events of a run are put together, and how many can wait."""

    #: How long a piece of text waits for others, in seconds.
    delay: float = 0.02
    #: A batch has at most so many events (the server takes 1,000).
    max_events: int = 200
    #: A batch has at most so many bytes of events, unless one event has more.
    max_bytes: int = 256 * 1024
    #: So many events can wait to be written; then writers wait.
    queue_events: int = 2_000
    #: So many bytes of events can wait to be written; then writers wait.
    queue_bytes: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 1 <= self.max_events <= 1000:
            raise ValueError("Batch.max_events must be 1 to 1,000: the server takes no more")
        if self.queue_events < 1 or self.queue_bytes < 1 or self.max_bytes < 1 or self.delay < 0:
            raise ValueError("the sizes of Batch must be 1 or more, and its delay 0 or more")


@dataclass(frozen=True, slots=True)
class Retry:
    """How a request is repeated after 408, 429, 5xx and a broken connection."""

    #: The first wait, in seconds. Each next one is twice as long; half to all of it is waited.
    first: float = 0.1
    #: The longest wait, in seconds.
    longest: float = 5.0
    #: After so many seconds without success a request fails with `BridgeUnreachable`. This is
    #: longer than a lease on purpose: a restarted server gives each open run its whole lease
    #: again, and a run whose lease did end gets `RunOver` with the first answer.
    give_up: float = 120.0
    #: `Retry-After` is obeyed up to so many seconds.
    longest_retry_after: float = 60.0

    def wait(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after so many failures in a row."""
        bound: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        wait = bound * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, protects nothing
        if retry_after is not None:
            wait = max(wait, min(retry_after, self.longest_retry_after))
        return wait

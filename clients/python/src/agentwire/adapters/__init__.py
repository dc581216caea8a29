"""Streams of agent frameworks as events of a run. They import no framework themselves."""

from agentwire.adapters._done import Done

__all__ = ["Done"]

"""Publishes what agents do to agentwire-bridge, and gets what users send."""

from agentwire import errors, events
from agentwire._bridge import Bridge
from agentwire._cancelled import Cancelled
from agentwire._parts import Message, Tool
from agentwire._run import Run
from agentwire._signals import Answer, SteeringMessage
from agentwire._threads import Threads, thread_key
from agentwire.deliveries import Delivery, UserMessage
from agentwire.errors import AgentFailed, AgentwireError, ApiError, RunCancelled
from agentwire.options import Batch, Retry

__all__ = [
    "AgentFailed",
    "AgentwireError",
    "Answer",
    "ApiError",
    "Batch",
    "Bridge",
    "Cancelled",
    "Delivery",
    "Message",
    "Retry",
    "Run",
    "RunCancelled",
    "SteeringMessage",
    "Threads",
    "Tool",
    "UserMessage",
    "errors",
    "events",
    "thread_key",
]

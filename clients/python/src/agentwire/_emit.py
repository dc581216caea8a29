"""What an agent says: the events of a run that don't end it."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentwire._ends import Severity, error_event
from agentwire._json import given
from agentwire._parts import Message, Tool
from agentwire.events import AgentEvent

__all__ = ["Emitter", "Urgency"]

Urgency = Literal["low", "medium", "high"]


class Emitter(ABC):
    """Turns calls into events; how they are written is the business of `Run`."""

    #: The id of the run.
    id: str

    @abstractmethod
    async def _write(
        self, event: Mapping[str, Any], *, durable: bool = False, forced: bool = False
    ) -> None: ...

    @abstractmethod
    async def flush(self) -> None:
        """Waits until all that was published is durable."""

    async def thinking(
        self,
        text: str | None = None,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        progress: float | None = None,
        remaining_ms: int | None = None,
        urgency: Urgency | None = None,
    ) -> None:
        """What the agent is busy with; replaces its former thought. `progress`: 0 to 100."""
        await self._write(
            {
                "type": "agent_thinking",
                "runId": self.id,
                **given(
                    text=text,
                    step=step,
                    totalSteps=total_steps,
                    progress=progress,
                    remainingMs=remaining_ms,
                    urgency=urgency,
                ),
            }
        )

    async def respond(self, content: str, *, message_id: str | None = None) -> None:
        """A whole answer. Returns when it is durable."""
        await self._write(
            {
                "type": "agent_response",
                "runId": self.id,
                "content": content,
                **given(messageId=message_id),
            },
            durable=True,
        )

    async def report(
        self,
        code: str,
        message: str | None = None,
        *,
        severity: Severity = "medium",
        suggestions: Sequence[Any] | None = None,
        retry_after_ms: int | None = None,
        user_message: str | None = None,
        details: Any = None,
    ) -> None:
        """An error after which the run goes on. Returns when it is durable."""
        await self._write(
            error_event(
                self.id,
                code,
                message,
                severity=severity,
                recoverable=True,
                suggestions=suggestions,
                retry_after_ms=retry_after_ms,
                user_message=user_message,
                details=details,
            ),
            durable=True,
        )

    async def publish(
        self, event: AgentEvent | Mapping[str, Any], *, durable: bool = False
    ) -> None:
        """Any event, also of a type of your own. `runId` is set if it is missing."""
        await self._write({"runId": self.id, **event}, durable=durable)

    def tool(
        self,
        name: str,
        args: Any = None,
        *,
        purpose: str | None = None,
        category: str | None = None,
        estimated_ms: int | None = None,
        tool_call_id: str | None = None,
    ) -> Tool:
        """A tool call: `async with run.tool("search", {"q": "x"}) as tool`."""
        call_id = tool_call_id or f"call-{uuid.uuid4().hex}"
        started = {
            "type": "tool_executing",
            "runId": self.id,
            "toolCallId": call_id,
            "toolName": name,
            **given(args=args, purpose=purpose, category=category, estimatedMs=estimated_ms),
        }
        return Tool(self._write, self.id, call_id, name, started)

    def message(self, message_id: str | None = None) -> Message:
        """A message in pieces: `async with run.message() as m: await m.delta("Hel")`."""
        return Message(self._write, self.id, message_id or f"msg-{uuid.uuid4().hex}")

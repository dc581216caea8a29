"""The events of an agentwire stream.

Written by `cargo xtask events --write`. Do not edit.
"""

from typing import Any, Literal, NotRequired, TypedDict, Union

__all__ = [
    "AgentEvent",
    "UserMessageEvent",
    "MessageQueuedEvent",
    "MessageDequeuedEvent",
    "MessageEditedEvent",
    "SteeringRequestedEvent",
    "SteeringTakenEvent",
    "RunAcceptedEvent",
    "AgentStartedEvent",
    "AgentThinkingEvent",
    "MessageDeltaEvent",
    "MessageCompletedEvent",
    "AgentResponseEvent",
    "ToolExecutingEvent",
    "ToolArgsDeltaEvent",
    "ToolCompletedEvent",
    "ApprovalRequestedEvent",
    "ApprovalResolvedEvent",
    "AgentCompletedEvent",
    "AgentErrorEvent",
    "AgentCancelledEvent",
    "AgentDiedEvent",
    "ThreadChangedEvent",
    "VoidEvent",
]


class UserMessageEvent(TypedDict):
    """A message of the user."""

    type: Literal["user_message"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # Its text.
    content: str
    # Id of the `send` that made it: replaces the message that was shown at once.
    sendId: NotRequired[str]
    # Who sent it.
    user: NotRequired[str]
    # How it was sent, if not to wait for its turn.
    mode: NotRequired[Literal["interrupt", "steer"]]
    # What it refers to.
    references: NotRequired[list[Any]]
    # Whatever else the application knows of it.
    metadata: NotRequired[dict[str, Any]]
    # The trace that it belongs to (W3C Trace Context).
    traceparent: NotRequired[str]


class MessageQueuedEvent(TypedDict):
    """A message of the user waits: `ahead` messages and runs come before it."""

    type: Literal["message_queued"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # Id of the `send` that made the message.
    sendId: str
    # How many messages and runs come before it.
    ahead: int


class MessageDequeuedEvent(TypedDict):
    """A message that waited does so no more."""

    type: Literal["message_dequeued"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # Id of the `send` that made the message.
    sendId: str
    # `claimed` (by a run whose first event has this `sendId`), `withdrawn`, `cancelled`, `passed`,
    # or another.
    reason: str


class MessageEditedEvent(TypedDict):
    """A message that waits has another content."""

    type: Literal["message_edited"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # Id of the `send` that made the message.
    sendId: str
    # Its text from here on.
    content: str
    # Who edited it.
    user: NotRequired[str]
    # What it refers to.
    references: NotRequired[list[Any]]
    # Whatever else the application knows of it.
    metadata: NotRequired[dict[str, Any]]


class SteeringRequestedEvent(TypedDict):
    """A message of the user is for this run."""

    type: Literal["steering_requested"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # Id of the `send` that made the message.
    sendId: str


class SteeringTakenEvent(TypedDict):
    """The run has taken it. Without this event before its end, the message waits for a run of
    its own."""

    type: Literal["steering_taken"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # Id of the `send` that made the message.
    sendId: str


class RunAcceptedEvent(TypedDict):
    """A run exists."""

    type: Literal["run_accepted"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The message that it answers.
    sendId: NotRequired[str]
    # Makes this a sub-agent of that run.
    parentRunId: NotRequired[str]
    # The trace that it belongs to (W3C Trace Context).
    traceparent: NotRequired[str]


class AgentStartedEvent(TypedDict):
    """A run has begun to work."""

    type: Literal["agent_started"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: str
    # The message that it answers.
    sendId: NotRequired[str]
    # Makes this a sub-agent of that run.
    parentRunId: NotRequired[str]
    # What it is to do, for people.
    task: NotRequired[str]
    # The trace that it belongs to (W3C Trace Context).
    traceparent: NotRequired[str]


class AgentThinkingEvent(TypedDict):
    """What the agent is busy with; replaces the run's former thought."""

    type: Literal["agent_thinking"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The thought, for people.
    text: NotRequired[str]
    # The step that it is at, counted from 1.
    step: NotRequired[int]
    # How many steps there are.
    totalSteps: NotRequired[int]
    # How far it is: percent, 0 to 100.
    progress: NotRequired[float]
    # How long it will still take, in milliseconds.
    remainingMs: NotRequired[int]
    # How urgent it is.
    urgency: NotRequired[Literal["low", "medium", "high"]]


class MessageDeltaEvent(TypedDict):
    """A piece of a message."""

    type: Literal["message_delta"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The message.
    messageId: str
    # What is appended.
    text: str


class MessageCompletedEvent(TypedDict):
    """A whole message, whatever its pieces were."""

    type: Literal["message_completed"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The message.
    messageId: str
    # Its whole text.
    content: str
    # True if its agent stopped before the end.
    interrupted: NotRequired[bool]


class AgentResponseEvent(TypedDict):
    """A whole answer; without a `messageId` a message of its own."""

    type: Literal["agent_response"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # Its whole text.
    content: str
    # The message.
    messageId: NotRequired[str]


class ToolExecutingEvent(TypedDict):
    """A tool call has started."""

    type: Literal["tool_executing"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The tool call.
    toolCallId: str
    # Name of the tool.
    toolName: str
    # What it is called with.
    args: NotRequired[Any]
    # Why, for people.
    purpose: NotRequired[str]
    # What kind of tool it is, such as `search`.
    category: NotRequired[str]
    # How long it will take, in milliseconds.
    estimatedMs: NotRequired[int]


class ToolArgsDeltaEvent(TypedDict):
    """A piece of the arguments of a tool call."""

    type: Literal["tool_args_delta"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The tool call.
    toolCallId: str
    # What is appended to the JSON text of its arguments.
    text: str


class ToolCompletedEvent(TypedDict):
    """A tool call has ended."""

    type: Literal["tool_completed"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The tool call.
    toolCallId: str
    # False if it failed.
    success: bool
    # Name of the tool.
    toolName: NotRequired[str]
    # What it returned.
    result: NotRequired[Any]
    # Why it failed.
    error: NotRequired[str]
    # How long it took, in milliseconds.
    durationMs: NotRequired[int]


class ApprovalRequestedEvent(TypedDict):
    """The run waits for a person."""

    type: Literal["approval_requested"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The approval; a run uses each id once.
    approvalId: str
    # The question, for people.
    prompt: str
    # The tool call that waits for the answer.
    toolCallId: NotRequired[str]
    # What a page can offer as answers.
    options: NotRequired[list[Any]]
    # JSON Schema of the `payload` of an approval, or with `editable` of its `editedArgs`.
    schema: NotRequired[Union[dict[str, Any], bool]]
    # What the person decides about.
    args: NotRequired[Any]
    # Says which arguments were shown: give it to `thread.approve`.
    argsHash: NotRequired[str]
    # Whether the person may change the arguments.
    editable: NotRequired[bool]
    # When it expires: milliseconds since the Unix epoch, by the clock of the server.
    expiresAt: NotRequired[int]


class ApprovalResolvedEvent(TypedDict):
    """Somebody decided, and the run goes on; the first decision counts."""

    type: Literal["approval_resolved"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The approval.
    approvalId: str
    # What was decided.
    decision: Literal["approved", "denied", "expired"]
    # Who decided.
    user: NotRequired[str]
    # What the person filled in.
    payload: NotRequired[Any]
    # The arguments as the person changed them.
    editedArgs: NotRequired[Any]
    # Why, in the words of the person.
    reason: NotRequired[str]


class AgentCompletedEvent_usage(TypedDict):
    # Tokens that were read.
    inputTokens: NotRequired[int]
    # Tokens that were written.
    outputTokens: NotRequired[int]
    # All of them.
    totalTokens: NotRequired[int]


class AgentCompletedEvent(TypedDict):
    """A run has ended well."""

    type: Literal["agent_completed"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # The result, for programs.
    result: NotRequired[Any]
    # One sentence, for people.
    summary: NotRequired[str]
    # How long it took, in milliseconds.
    durationMs: NotRequired[int]
    # The tokens that it used.
    usage: NotRequired[AgentCompletedEvent_usage]


class AgentErrorEvent(TypedDict):
    """A run has failed, unless `recoverable` is true."""

    type: Literal["agent_error"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # For programs, such as `model_unavailable`.
    code: str
    # How bad it is.
    severity: Literal["critical", "high", "medium", "low"]
    # True if the run goes on.
    recoverable: bool
    # For developers.
    message: NotRequired[str]
    # What a person can do about it.
    suggestions: NotRequired[list[Any]]
    # When it is worth trying again, in milliseconds.
    retryAfterMs: NotRequired[int]
    # Text for the user.
    userMessage: NotRequired[str]
    # What else is known of it, for programs.
    details: NotRequired[Any]


class AgentCancelledEvent(TypedDict):
    """A run was cancelled."""

    type: Literal["agent_cancelled"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # Why.
    reason: NotRequired[str]


class AgentDiedEvent(TypedDict):
    """A run has ended without a word of its agent."""

    type: Literal["agent_died"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The run it belongs to.
    runId: str
    # Name of the agent.
    agent: NotRequired[str]
    # `restarted`, `shutdown`, `dropped`, `panicked`, `timeout`, `no_heartbeat`, `log_unavailable`,
    # `memory_limit`, `cancelled` or another.
    cause: str


class ThreadChangedEvent(TypedDict):
    """On the inbox: a thread got a message of the user, or a run in it has ended."""

    type: Literal["thread_changed"]
    # When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
    time: NotRequired[int]
    # Has no meaning for order.
    id: NotRequired[str]
    # The name of the thread.
    thread: str
    # The offset in that thread.
    head: int


class VoidEvent(TypedDict):
    """An event that was redacted or deleted. It has a `type` and nothing else."""

    type: Literal["void"]


AgentEvent = Union[
    UserMessageEvent,
    MessageQueuedEvent,
    MessageDequeuedEvent,
    MessageEditedEvent,
    SteeringRequestedEvent,
    SteeringTakenEvent,
    RunAcceptedEvent,
    AgentStartedEvent,
    AgentThinkingEvent,
    MessageDeltaEvent,
    MessageCompletedEvent,
    AgentResponseEvent,
    ToolExecutingEvent,
    ToolArgsDeltaEvent,
    ToolCompletedEvent,
    ApprovalRequestedEvent,
    ApprovalResolvedEvent,
    AgentCompletedEvent,
    AgentErrorEvent,
    AgentCancelledEvent,
    AgentDiedEvent,
    ThreadChangedEvent,
    VoidEvent,
]

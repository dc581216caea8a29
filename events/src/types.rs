//! The events in Rust, and the table of them.
//!
//! After a field come its key in JSON, its type in Rust, and its kind in the table.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::Invalid;
pub use crate::common::{Base, Mode, Nothing, OfNamedRun, OfRun, Resolution, Severity, Urgency, Usage};
use crate::common::{COUNT, FROM_ONE, MS, PERCENT, TIME};
use crate::define::{events, record};
use crate::table::Kind::{self, Any, Boolean, Id, List, Object, OneOf, Schema, Text, Word};
use crate::table::{EventType, Field};

events! {
    /// A message of the user.
    #[effect = "a message of the user; it replaces the copy with this `sendId` that the page showed at once"]
    UserMessage "user_message" of Base {
        /// Its text.
        content "content": String as Text,
        optional {
            /// Id of the `send` that made it: replaces the message that was shown at once.
            send_id "sendId": String as Id,
            /// Who sent it.
            user "user": String as Text,
            /// How it was sent, if not to wait for its turn.
            mode "mode": Mode as OneOf(Mode::VALUES),
            /// What it refers to.
            references "references": Vec<Value> as List,
            /// Whatever else the application knows of it.
            metadata "metadata": Map<String, Value> as Object,
            /// The trace that it belongs to (W3C Trace Context).
            traceparent "traceparent": String as Text,
        }
    }

    /// A message of the user waits: `ahead` messages and runs come before it.
    #[effect = "the message waits"]
    MessageQueued "message_queued" of Base {
        /// Id of the `send` that made the message.
        send_id "sendId": String as Id,
        /// How many messages and runs come before it.
        ahead "ahead": u64 as COUNT,
    }

    /// A message that waited does so no more.
    #[effect = "the message waits no more"]
    MessageDequeued "message_dequeued" of Base {
        /// Id of the `send` that made the message.
        send_id "sendId": String as Id,
        /// `claimed` (by a run whose first event has this `sendId`), `withdrawn`, `cancelled`, `passed`, or another.
        reason "reason": String as Word(&["claimed", "withdrawn", "cancelled", "passed"]),
    }

    /// A message that waits has another content.
    #[effect = "replaces the content of the message"]
    MessageEdited "message_edited" of Base {
        /// Id of the `send` that made the message.
        send_id "sendId": String as Id,
        /// Its text from here on.
        content "content": String as Text,
        optional {
            /// Who edited it.
            user "user": String as Text,
            /// What it refers to.
            references "references": Vec<Value> as List,
            /// Whatever else the application knows of it.
            metadata "metadata": Map<String, Value> as Object,
        }
    }

    /// A message of the user is for this run.
    #[effect = "the message is for this run"]
    SteeringRequested "steering_requested" of OfRun {
        /// Id of the `send` that made the message.
        send_id "sendId": String as Id,
    }

    /// The run has taken it. Without this event before its end, the message waits for a run of its own.
    #[effect = "the run has claimed the message"]
    SteeringTaken "steering_taken" of OfRun {
        /// Id of the `send` that made the message.
        send_id "sendId": String as Id,
    }

    /// A run exists.
    #[effect = "the run exists: `accepted`"]
    RunAccepted "run_accepted" of OfRun {
        optional {
            /// The message that it answers.
            send_id "sendId": String as Id,
            /// Makes this a sub-agent of that run.
            parent_run_id "parentRunId": String as Id,
            /// The trace that it belongs to (W3C Trace Context).
            traceparent "traceparent": String as Text,
        }
    }

    /// A run has begun to work.
    #[effect = "`running`"]
    AgentStarted "agent_started" of OfNamedRun {
        optional {
            /// The message that it answers.
            send_id "sendId": String as Id,
            /// Makes this a sub-agent of that run.
            parent_run_id "parentRunId": String as Id,
            /// What it is to do, for people.
            task "task": String as Text,
            /// The trace that it belongs to (W3C Trace Context).
            traceparent "traceparent": String as Text,
        }
    }

    /// What the agent is busy with; replaces the run's former thought.
    #[effect = "replaces the run's current thought"]
    AgentThinking "agent_thinking" of OfRun {
        optional {
            /// The thought, for people.
            text "text": String as Text,
            /// The step that it is at, counted from 1.
            step "step": u64 as FROM_ONE,
            /// How many steps there are.
            total_steps "totalSteps": u64 as COUNT,
            /// How far it is: percent, 0 to 100.
            progress "progress": f64 as PERCENT,
            /// How long it will still take, in milliseconds.
            remaining_ms "remainingMs": u64 as MS,
            /// How urgent it is.
            urgency "urgency": Urgency as OneOf(Urgency::VALUES),
        }
    }

    /// A piece of a message.
    #[effect = "appends `text` to the message"]
    MessageDelta "message_delta" of OfRun {
        /// The message.
        message_id "messageId": String as Id,
        /// What is appended.
        text "text": String as Text,
    }

    /// A whole message, whatever its pieces were.
    #[effect = "sets the message to `content`, whatever the deltas were; `interrupted` true: its agent stopped before the end"]
    MessageCompleted "message_completed" of OfRun {
        /// The message.
        message_id "messageId": String as Id,
        /// Its whole text.
        content "content": String as Text,
        optional {
            /// True if its agent stopped before the end.
            interrupted "interrupted": bool as Boolean,
        }
    }

    /// A whole answer; without a `messageId` a message of its own.
    #[effect = "as `message_completed`; without a `messageId`, a new message"]
    AgentResponse "agent_response" of OfRun {
        /// Its whole text.
        content "content": String as Text,
        optional {
            /// The message.
            message_id "messageId": String as Id,
        }
    }

    /// A tool call has started.
    #[effect = "a tool call starts"]
    ToolExecuting "tool_executing" of OfRun {
        /// The tool call.
        tool_call_id "toolCallId": String as Id,
        /// Name of the tool.
        tool_name "toolName": String as Text,
        optional {
            /// What it is called with.
            args "args": Value as Any,
            /// Why, for people.
            purpose "purpose": String as Text,
            /// What kind of tool it is, such as `search`.
            category "category": String as Text,
            /// How long it will take, in milliseconds.
            estimated_ms "estimatedMs": u64 as MS,
        }
    }

    /// A piece of the arguments of a tool call.
    #[effect = "appends `text` to the arguments of the tool call"]
    ToolArgsDelta "tool_args_delta" of OfRun {
        /// The tool call.
        tool_call_id "toolCallId": String as Id,
        /// What is appended to the JSON text of its arguments.
        text "text": String as Text,
    }

    /// A tool call has ended.
    #[effect = "the tool call ends: `completed` or `failed`"]
    ToolCompleted "tool_completed" of OfRun {
        /// The tool call.
        tool_call_id "toolCallId": String as Id,
        /// False if it failed.
        success "success": bool as Boolean,
        optional {
            /// Name of the tool.
            tool_name "toolName": String as Text,
            /// What it returned.
            result "result": Value as Any,
            /// Why it failed.
            error "error": String as Text,
            /// How long it took, in milliseconds.
            duration_ms "durationMs": u64 as MS,
        }
    }

    /// The run waits for a person.
    #[effect = "the run waits for a person"]
    ApprovalRequested "approval_requested" of OfRun {
        /// The approval; a run uses each id once.
        approval_id "approvalId": String as Id,
        /// The question, for people.
        prompt "prompt": String as Text,
        optional {
            /// The tool call that waits for the answer.
            tool_call_id "toolCallId": String as Id,
            /// What a page can offer as answers.
            options "options": Vec<Value> as List,
            /// JSON Schema of the `payload` of an approval, or with `editable` of its `editedArgs`.
            schema "schema": Value as Schema,
            /// What the person decides about.
            args "args": Value as Any,
            /// Says which arguments were shown: give it to `thread.approve`.
            args_hash "argsHash": String as Id,
            /// Whether the person may change the arguments.
            editable "editable": bool as Boolean,
            /// When it expires: milliseconds since the Unix epoch, by the clock of the server.
            expires_at "expiresAt": u64 as TIME,
        }
    }

    /// Somebody decided, and the run goes on; the first decision counts.
    #[effect = "the run continues; the first decision counts"]
    ApprovalResolved "approval_resolved" of OfRun {
        /// The approval.
        approval_id "approvalId": String as Id,
        /// What was decided.
        decision "decision": Resolution as OneOf(Resolution::VALUES),
        optional {
            /// Who decided.
            user "user": String as Text,
            /// What the person filled in.
            payload "payload": Value as Any,
            /// The arguments as the person changed them.
            edited_args "editedArgs": Value as Any,
            /// Why, in the words of the person.
            reason "reason": String as Text,
        }
    }

    /// A run has ended well.
    #[effect = "ends the run: `completed`"]
    AgentCompleted "agent_completed" of OfRun {
        optional {
            /// The result, for programs.
            result "result": Value as Any,
            /// One sentence, for people.
            summary "summary": String as Text,
            /// How long it took, in milliseconds.
            duration_ms "durationMs": u64 as MS,
            /// The tokens that it used.
            usage "usage": Usage as Kind::Record(Usage::FIELDS),
        }
    }

    /// A run has failed, unless `recoverable` is true.
    #[effect = "ends the run: `failed`, unless `recoverable` is true"]
    AgentError "agent_error" of OfRun {
        /// For programs, such as `model_unavailable`.
        code "code": String as Text,
        /// How bad it is.
        severity "severity": Severity as OneOf(Severity::VALUES),
        /// True if the run goes on.
        recoverable "recoverable": bool as Boolean,
        optional {
            /// For developers.
            message "message": String as Text,
            /// What a person can do about it.
            suggestions "suggestions": Vec<Value> as List,
            /// When it is worth trying again, in milliseconds.
            retry_after_ms "retryAfterMs": u64 as MS,
            /// Text for the user.
            user_message "userMessage": String as Text,
            /// What else is known of it, for programs.
            details "details": Value as Any,
        }
    }

    /// A run was cancelled.
    #[effect = "ends the run: `cancelled`"]
    AgentCancelled "agent_cancelled" of OfRun {
        optional {
            /// Why.
            reason "reason": String as Text,
        }
    }

    /// A run has ended without a word of its agent.
    #[effect = "ends the run: `failed` with that cause"]
    AgentDied "agent_died" of OfRun {
        /// `restarted`, `shutdown`, `dropped`, `panicked`, `timeout`, `no_heartbeat`, `log_unavailable`, `memory_limit`,
        /// `cancelled` or another.
        cause "cause": String as Word(&[
            "restarted",
            "shutdown",
            "dropped",
            "panicked",
            "timeout",
            "no_heartbeat",
            "log_unavailable",
            "memory_limit",
            "cancelled",
        ]),
    }

    /// On the inbox: a thread got a message of the user, or a run in it has ended.
    #[effect = "none; on the `inbox` of each user who may read the thread it reports that the thread got a message of a user or the end of a run, at the offset `head`"]
    ThreadChanged "thread_changed" of Base {
        /// The name of the thread.
        thread "thread": String as Text,
        /// The offset in that thread.
        head "head": u64 as COUNT,
    }

    /// An event that was redacted or deleted. It has a `type` and nothing else.
    #[effect = "none"]
    Void "void" of Nothing {}
}

impl From<Event> for Value {
    /// The event as JSON. A number that JSON cannot write becomes null, which no server publishes.
    fn from(event: Event) -> Self {
        serde_json::to_value(event).unwrap_or_default()
    }
}

//! What several events share: their common fields, and the texts of closed lists.

use serde::{Deserialize, Serialize};

use crate::define::{listed, record};
use crate::table::{Field, Kind, Unit};

pub(crate) const MS: Kind = Kind::Integer { min: 0, unit: Some(Unit::Ms) };
pub(crate) const TIME: Kind = Kind::Integer { min: 0, unit: Some(Unit::Time) };
pub(crate) const COUNT: Kind = Kind::Integer { min: 0, unit: None };
pub(crate) const FROM_ONE: Kind = Kind::Integer { min: 1, unit: None };
pub(crate) const PERCENT: Kind = Kind::Number { min: 0.0, max: 100.0, unit: Some(Unit::Percent) };

listed! {
    /// How a message is sent, if not to wait for its turn.
    Mode {
        /// It takes the place of what is under way.
        Interrupt = "interrupt",
        /// It is for a run that is under way.
        Steer = "steer",
    }
}

listed! {
    /// How much a person is in a hurry, or should be.
    Urgency {
        /// Can wait.
        Low = "low",
        /// As usual.
        Medium = "medium",
        /// Needs attention.
        High = "high",
    }
}

listed! {
    /// How bad an error is.
    #[derive(Default)]
    Severity {
        /// Nothing works.
        Critical = "critical",
        /// The run failed.
        #[default]
        High = "high",
        /// A part failed.
        Medium = "medium",
        /// Worth knowing.
        Low = "low",
    }
}

listed! {
    /// What became of an approval request.
    #[derive(Default)]
    Resolution {
        /// Somebody agreed.
        Approved = "approved",
        /// Somebody did not.
        Denied = "denied",
        /// Nobody answered in time.
        #[default]
        Expired = "expired",
    }
}

record! {
    /// What every event has.
    Base {
        optional {
            /// When it happened: milliseconds since the Unix epoch. The server sets it if it is missing.
            time "time": u64 as TIME,
            /// Has no meaning for order.
            id "id": String as Kind::Text,
        }
    }
}

record! {
    /// Nothing: of a voided event is left its type.
    Nothing {}
}

record! {
    /// What every event of a run has.
    OfRun {
        /// The run it belongs to.
        run_id "runId": String as Kind::Id,
        optional {
            /// Name of the agent.
            agent "agent": String as Kind::Text,
        }
        flatten {
            /// What every event has.
            base: Base,
        }
    }
}

record! {
    /// What every event of a run has, with the name of its agent.
    OfNamedRun {
        /// The run it belongs to.
        run_id "runId": String as Kind::Id,
        /// Name of the agent.
        agent "agent": String as Kind::Text,
        flatten {
            /// What every event has.
            base: Base,
        }
    }
}

impl Base {
    pub(crate) const ROWS: &[&[Field]] = &[Self::FIELDS];
}

impl Nothing {
    pub(crate) const ROWS: &[&[Field]] = &[];
}

impl OfRun {
    pub(crate) const ROWS: &[&[Field]] = &[Base::FIELDS, Self::FIELDS];
}

impl OfNamedRun {
    pub(crate) const ROWS: &[&[Field]] = &[Base::FIELDS, Self::FIELDS];
}

record! {
    /// Tokens of a model.
    Usage {
        optional {
            /// Tokens that were read.
            input_tokens "inputTokens": u64 as COUNT,
            /// Tokens that were written.
            output_tokens "outputTokens": u64 as COUNT,
            /// All of them.
            total_tokens "totalTokens": u64 as COUNT,
        }
    }
}

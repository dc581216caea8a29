//! Named bugs, for the trial of the delivery oracle (feature `__mutants`).
//!
//! Each is a place in the core where `is_mutant!` asks whether the bug is switched on. Without the feature the question is the
//! constant `false`, and nothing of it is compiled.

use std::cell::Cell;

macro_rules! mutants {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A bug that the simulation must find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is described by its name")]
        pub enum Mutant { $($variant),+ }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Says in a few words what is wrong.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

mutants! {
    AckAboveReceived = "acks what did not come",
    AckBeforeDispatch = "ack before dispatch",
    AckForgotten = "ack forgotten",
    AheadAccepted = "ahead position accepted",
    BackoffNeverReset = "backoff never reset",
    BackoffNeverWaits = "backoff never waits",
    DuplicateOffByOne = "duplicate window off by one",
    EndUntold = "end of a stream untold",
    EndedAskedAgain = "ended stream asked for again",
    EpochIgnored = "epoch ignored",
    FastestReported = "position of the fastest",
    GapInsteadOfReconnect = "gap instead of reconnect",
    GapTwice = "gap announced twice",
    HeadUnchecked = "head check missing",
    HeartbeatIgnored = "heartbeat ignored",
    HelloWithoutPositions = "hello without positions",
    LateConsumerSkips = "late consumer skips",
    OutboxLost = "outbox lost on reconnect",
    ParkedDropped = "parked frames dropped",
    PositionEarly = "position moved before dispatch",
    OpenRunsLost = "open runs lost",
    ReceiptKept = "resent after receipt",
    ReplaysMiscounted = "replays miscounted",
    ReplayToWrongConsumer = "replay answered to the wrong one",
    SendOvertakes = "send overtakes",
    SentBeforeDurable = "sent before durable",
    SentToNewSubject = "sent to a new subject",
    SlotLeaks = "slot leaks on unsubscribe",
    StaleCh = "stale ch",
    StaleSocket = "stale socket accepted",
    StreamLeaks = "stream leaks on unsubscribe",
    TimerSwallowed = "timer swallowed",
    TrapLosesOutbox = "trap loses the outbox",
    TrapLosesPositions = "trap loses positions",
    VerdictMissing = "verdict missing",
    VerdictTwice = "verdict twice",
    WindowIgnored = "window ignored",
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Switches one bug on for this thread, or all off.
pub fn set(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Tells whether a bug is switched on for this thread.
pub fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

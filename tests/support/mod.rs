//! The harness of `agentwire-sim`: the core, a model server and a link between them, in virtual time.
#![allow(unused_imports, unreachable_pub, reason = "each test file uses a part")]

pub use agentwire_sim::{Item, Receiver, World, expand};

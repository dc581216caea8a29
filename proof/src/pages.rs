//! Pages that speak the protocol frame by frame, and the server that they are let loose on.

mod page;
mod stand;
mod tokens;

pub(crate) use page::{Got, Page, Place};
pub(crate) use stand::{Stand, StandPlan};
pub(crate) use tokens::{Forgery, Tokens};

//! Loses something on purpose, so that a check of long runs can prove that it notices.

use std::fs::File;

use agentwire_bridge::{AuthError, Authenticator, Hs256, Identity};
use futures_util::future::BoxFuture;

/// Bytes that are lost with each token.
const BYTES: usize = 1_024;

/// What is lost with each token that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Leak {
    /// 1 KiB of memory.
    Memory,
    /// A descriptor.
    Descriptor,
}

/// Checks tokens, and loses something with each.
#[derive(Debug)]
pub(crate) struct Leaking {
    tokens: Hs256,
    leaks: Vec<Leak>,
}

impl Leaking {
    pub(crate) fn new(tokens: Hs256, leaks: Vec<Leak>) -> Self {
        Self { tokens, leaks }
    }
}

impl Authenticator for Leaking {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        for leak in &self.leaks {
            match leak {
                // Filled, so that it is resident.
                Leak::Memory => drop(Box::leak(vec![1_u8; BYTES].into_boxed_slice())),
                Leak::Descriptor => std::mem::forget(File::open("/dev/null")),
            }
        }
        self.tokens.authenticate(token)
    }
}

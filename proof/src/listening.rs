//! A server of the tests: a program that says where it listens.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::service::Service;

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) service: Service,
    /// `http://127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Listening {
    /// Starts a server and waits until it listens. `name` stands for it in errors.
    pub(crate) fn start(command: Command, name: &'static str, log: PathBuf) -> Result<Self> {
        let service = Service::start(name, command, log)?;
        let address = service.line_after("listening on ", PATIENCE)?;
        Ok(Self { service, address })
    }

    /// Where pages connect to.
    pub(crate) fn websocket(&self) -> String {
        format!("{}/ws", self.address.replacen("http", "ws", 1))
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.service.id()
    }

    /// Asks the server to stop and checks that it does so cleanly.
    pub(crate) fn stop(self) -> Result<()> {
        self.service.stop()
    }
}

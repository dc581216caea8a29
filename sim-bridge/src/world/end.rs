//! After the last fault: everything comes to rest, and ends without a trace.

use std::collections::BTreeMap;

use agentwire::proto::{Duration, Input, State};
use agentwire_sim::oracle::{Judgement, Violation};
use serde_json::Value;

use super::{Process, World};
use crate::audit::require;
use crate::network::Item;

/// How long after the last fault everything must have come to rest. A send may have to wait for ten minutes (SND-19).
const BOUND: Duration = Duration::from_secs(700);

impl World {
    /// Whether every page has everything, and nothing is left to do.
    fn is_at_rest(&self) -> bool {
        matches!(self.process, Process::Up(_)) && self.pending().is_none() && {
            self.store.with_truth(|truth| {
                self.pages.iter().all(|page| {
                    let is_over = matches!(page.client.state(), State::Closed | State::Failed);
                    self.oracle.has_everything(page.life, &page.client, truth)
                        && (is_over || self.oracle.is_caught_up(page.life))
                })
            })
        }
    }

    /// What is still to happen in the logs.
    fn pending(&self) -> Option<String> {
        self.names
            .iter()
            .find_map(|name| self.audit.pending(&self.store, name, &self.turns(name), &self.agents))
    }

    /// The last fault is over: everything must come to rest, and then end without a trace.
    pub(super) async fn heal(&mut self) -> Judgement {
        self.cure()?;
        self.run_for(Duration::from_secs(2)).await?;
        for name in self.names.clone() {
            let count = self.rng.between(1, 3);
            self.publish(&name, count);
        }
        self.come_to_rest().await?;
        require!(matches!(self.process, Process::Up(_)), "I7", "the bridge is not up");
        for name in &self.names {
            // First: behind a broken promise the fold of a log does not know what is open.
            self.turns(name).judge()?;
        }
        if let Some(pending) = self.pending() {
            return Err(Violation { rule: "I5", text: format!("long after the last fault, {pending}") });
        }
        for name in &self.names {
            self.audit.end(&self.store, name, &self.turns(name), &self.agents)?;
        }
        self.audit.end_of_inboxes(&self.store)?;
        let reader = self.read_all().await?;
        for index in 0..self.pages.len() {
            let Self { pages, oracle, store, .. } = self;
            let page = &pages[index];
            store.with_truth(|truth| oracle.end(page.life, &page.client, truth))?;
        }
        for index in (0..self.pages.len()).filter(|index| *index != reader) {
            self.input(index, Input::Close)?;
            let page = &self.pages[index];
            self.oracle.over(page.life, &page.driver)?;
        }
        self.stop_in_peace().await
    }

    async fn come_to_rest(&mut self) -> Judgement {
        let bound = self.now() + BOUND;
        loop {
            self.run_until(bound, Self::is_at_rest).await?;
            // A goaway may still be due, and what a page has is not all that it is told.
            self.run_for(Duration::from_millis(1_200)).await?;
            if self.is_at_rest() || self.now() >= bound {
                return Ok(());
            }
        }
    }

    /// A new page reads all there is.
    async fn read_all(&mut self) -> Result<usize, Violation> {
        let index = self.pages.len();
        self.is_over = true;
        self.open_page(index, Duration::from_millis(5), BTreeMap::new())?;
        self.come_to_rest().await?;
        let state = self.pages[index].client.state();
        require!(state == State::Connected, "I7", "a new page is {state:?}");
        Ok(index)
    }

    /// A bridge with nothing to do stops soon, and its pages are told.
    async fn stop_in_peace(&mut self) -> Judgement {
        self.shut_down();
        let began = self.now();
        let bound = began + Duration::from_secs(20);
        self.run_until(bound, |world| matches!(world.process, Process::Down)).await?;
        let took = self.now().since(began);
        require!(took <= Duration::from_secs(5), "shutdown", "a bridge at rest took {took:?} to stop");
        Ok(())
    }

    /// A frame of a raw client.
    pub(crate) fn say_up(&mut self, number: u64, frame: &Value) {
        let text = frame.to_string();
        self.say(&format!("{number} ▷ {text}"));
        let at = self.now() + self.conns[&number].latency;
        self.network.up(at, number, Item::Up { socket: number, text });
    }
}

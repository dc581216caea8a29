//! Service keys: what backends may do.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{KeyRight, KeySection, Problem};

/// Bytes of the longest key that is looked at.
const MAX_KEY_BYTES: usize = 4_096;

/// A key of a backend. The key itself is not kept.
pub struct ServiceKey {
    name: String,
    digest: [u8; 32],
    rights: Vec<KeyRight>,
    threads: Option<Vec<String>>,
}

impl ServiceKey {
    /// What logs call the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key may do this.
    pub fn may(&self, right: KeyRight) -> bool {
        self.rights.contains(&right)
    }

    /// Whether the key may use the thread with this key.
    pub fn covers(&self, thread: &str) -> bool {
        self.threads.as_ref().is_none_or(|all| all.iter().any(|start| thread.starts_with(start.as_str())))
    }

    /// Whether the key may use all threads.
    pub fn covers_all(&self) -> bool {
        self.threads.is_none()
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceKey({} {:?} {:?})", self.name, self.rights, self.threads)
    }
}

/// All service keys.
#[derive(Debug, Default)]
pub struct ServiceKeys(Vec<Arc<ServiceKey>>);

impl ServiceKeys {
    /// Reads the sections `[[keys]]`.
    pub fn new(sections: &[KeySection]) -> Result<Self, Problem> {
        let read = |(index, section): (usize, &KeySection)| {
            let digest = section.digest(index)?;
            let (rights, threads) = (section.rights.clone(), section.threads.clone());
            Ok(Arc::new(ServiceKey { name: section.name.clone(), digest, rights, threads }))
        };
        sections.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The key that a request has sent. How long it takes says nothing about the keys.
    pub fn find(&self, sent: &str) -> Option<Arc<ServiceKey>> {
        if sent.len() > MAX_KEY_BYTES {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(sent).into();
        // All are compared, whichever it is.
        let found = self.0.iter().filter(|key| bool::from(key.digest.ct_eq(&digest))).collect::<Vec<_>>();
        found.first().copied().cloned()
    }
}

//! How many connections there are: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Counts connections.
pub(super) struct Admission {
    most: usize,
    most_of_address: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The process can have no more.
    All,
    /// Its address has too many.
    Address,
}

/// The place of a connection.
#[derive(Debug)]
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    /// The address that it counts for; `None` for one that others stand behind.
    address: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(most: usize, most_of_address: usize) -> Self {
        Self { most, most_of_address, shared: Arc::default() }
    }

    /// Takes a place.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Admitted, Refused> {
        let address = is_of_a_client(address).then(|| network_of(address));
        let mut counts = self.shared.counts.lock();
        if counts.all >= self.most {
            return Err(Refused::All);
        }
        if let Some(address) = address {
            let of_address = counts.of_address.entry(address).or_default();
            if *of_address >= self.most_of_address {
                return Err(Refused::Address);
            }
            *of_address += 1;
        }
        counts.all += 1;
        Ok(Admitted { shared: Arc::clone(&self.shared), address })
    }

    /// Waits until a connection has ended.
    pub(super) async fn one_ends(&self) {
        self.shared.ended.notified().await;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock();
        counts.all -= 1;
        if let Some(address) = self.address
            && let Some(of_address) = counts.of_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                counts.of_address.remove(&address);
            }
        }
        self.shared.ended.notify_one();
    }
}

/// Whether an address is that of one client. Behind a private one there is a proxy, and all clients with it.
fn is_of_a_client(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_private() || address.is_link_local()),
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local())
        }
    }
}

/// What one client can have many addresses of: a /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_limited_in_all_and_for_an_address_and_come_back() {
        let admission = Admission::new(4, 2);
        let admit = |text| admission.admit(address(text));
        let ada = [admit("203.0.113.1"), admit("::ffff:203.0.113.1")];
        assert!(ada.iter().all(Result::is_ok));
        assert_eq!(admit("203.0.113.1").err(), Some(Refused::Address));
        // A client of IPv6 has a whole network.
        let bob = [admit("2001:db8::1"), admit("2001:db8::2")];
        assert!(bob.iter().all(Result::is_ok));
        assert_eq!(admit("198.51.100.1").err(), Some(Refused::All));
        drop(bob);
        let more = admit("198.51.100.1");
        assert!(more.is_ok());
        drop((ada, more));
        let counts = admission.shared.counts.lock();
        assert_eq!((counts.all, counts.of_address.len()), (0, 0));
    }

    #[test]
    fn proxies_are_not_limited_for_their_address() {
        let admission = Admission::new(10, 1);
        for text in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "fe80::1"] {
            let both = [admission.admit(address(text)), admission.admit(address(text))];
            assert!(both.iter().all(Result::is_ok), "{text}");
        }
    }
}

//! Which addresses may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who can be at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anybody on the internet.
    Public,
    /// Machines of this network, or this machine.
    Private,
    /// Nobody that should be called: link-local addresses, where clouds have their metadata, groups, and reserved ones.
    Never,
}

impl Reach {
    pub(super) fn is_allowed(self, allow_private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private => allow_private,
            Self::Never => false,
        }
    }
}

/// Who can be at `address`. An IPv6 address that stands for an IPv4 address is as that one.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // The metadata of one cloud is in the shared space of carriers.
        [100, 100, 100, 200] => Reach::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // This network, link-local, protocols, examples, relays, benchmarks, groups and what is reserved.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let last = |high: u16, low: u16| reach_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        // Mapped, compatible, and translated by NAT64.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => last(high, low),
        // 6to4.
        [0x2002, high, low, ..] => last(high, low),
        // The metadata of one cloud is among unique local addresses.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Protocols and Teredo, and examples.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_public_private_or_never_called() {
        let cases = [
            (
                Reach::Public,
                "1.1.1.1 172.32.0.1 192.169.0.1 100.128.0.1 169.253.0.1 2606:4700::1 ::ffff:8.8.8.8",
            ),
            (Reach::Public, "64:ff9b::8.8.8.8 2002:808:808::1"),
            (
                Reach::Private,
                "127.0.0.1 127.255.0.1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1",
            ),
            (
                Reach::Private,
                "::1 fc00::1 fdff::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::10.0.0.1 2002:7f00:1::",
            ),
            (
                Reach::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.0.8",
            ),
            (Reach::Never, "192.0.2.1 198.51.100.1 203.0.113.1 198.19.0.1 100.100.100.200 192.88.99.1"),
            (
                Reach::Never,
                ":: fe80::1 febf::1 fec0::1 ff02::1 2001:db8::1 2001::1 fd00:ec2::254 64:ff9b:1::1",
            ),
            (Reach::Never, "::ffff:169.254.169.254 ::ffff:0.0.0.0 2002:a9fe:a9fe:: 3fff::1 4000::1 100::1"),
        ];
        for (expected, list) in cases {
            for address in list.split(' ') {
                assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn what_is_never_called_cannot_be_allowed() {
        assert_eq!(
            [Reach::Public, Reach::Private, Reach::Never].map(|reach| reach.is_allowed(true)),
            [true, true, false]
        );
        assert_eq!(
            [Reach::Public, Reach::Private, Reach::Never].map(|reach| reach.is_allowed(false)),
            [true, false, false]
        );
    }
}

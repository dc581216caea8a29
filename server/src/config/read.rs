//! Values that are more than texts and numbers.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error};
use url::Url;

use super::Endpoint;

// No message quotes the value: a secret can be in the wrong place.

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| Error::custom("must be an IP address with a port, such as 127.0.0.1:8080"))
}

pub(super) fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    address(deserializer).map(Some)
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let read = |text: &String| {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| alone())
    };
    let networks = Vec::<String>::deserialize(deserializer)?.iter().map(read).collect::<Result<_, _>>();
    networks.map_err(|_| Error::custom("must be networks or addresses, such as 10.0.0.0/8 or 192.168.1.2"))
}

pub(super) fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoint>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text).map_err(|error| Error::custom(format!("is no URL: {error}")))?;
    Ok(Some(Endpoint::from(url)))
}

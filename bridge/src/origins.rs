//! Which pages may connect, by the origin that their browser names (RFC 6454).

use std::collections::HashSet;

use axum::http::{HeaderMap, header};

/// The pages that may connect; `None` if all may.
#[derive(Debug, Default)]
pub(crate) struct Origins(Option<HashSet<String>>);

/// A text of the allow-list that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: write scheme, host and port without a path, such as `https://chat.example.com` or `http://localhost:5173`"
)]
pub struct OriginError(String);

impl Origins {
    pub(crate) fn new<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginError> {
        let read = |origin: &str| read(origin).ok_or_else(|| OriginError(origin.to_owned()));
        list.into_iter().map(read).collect::<Result<_, _>>().map(|list| Self(Some(list)))
    }

    /// Whether a request may open a socket. Browsers name the origin of the page with each one; other programs need not,
    /// and could name any.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(allowed) = &self.0 else { return true };
        let mut named = headers.get_all(header::ORIGIN).iter();
        match (named.next(), named.next()) {
            (None, _) => true,
            (Some(origin), None) => {
                origin.to_str().ok().and_then(read).is_some_and(|origin| allowed.contains(&origin))
            }
            (Some(_), Some(_)) => false,
        }
    }
}

/// An origin as it is compared: in small letters, without the usual port of its scheme.
fn read(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, host) = origin.split_once("://")?;
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_host =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*\\".contains(&byte));
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(usual).unwrap_or(host);
    (is_scheme && is_host && !host.is_empty()).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origins: &[&str]) -> HeaderMap {
        origins.iter().map(|origin| (header::ORIGIN, origin.parse().unwrap())).collect()
    }

    #[test]
    fn an_origin_is_allowed_if_scheme_host_and_port_are_those_of_the_list() {
        let origins =
            Origins::new(["https://Chat.example.com", "http://localhost:5173", "http://[::1]:80"]).unwrap();
        for allowed in [
            "https://chat.example.com",
            "https://chat.example.com:443",
            "HTTPS://CHAT.EXAMPLE.COM",
            "http://localhost:5173",
            "http://[::1]",
        ] {
            assert!(origins.allow(&headers(&[allowed])), "{allowed}");
        }
        for refused in [
            "http://chat.example.com",
            "https://chat.example.com:8443",
            "https://chat.example.com.evil.test",
            "https://evil.test/https://chat.example.com",
            "https://a.chat.example.com",
            "http://localhost",
            "null",
            "",
        ] {
            assert!(!origins.allow(&headers(&[refused])), "{refused}");
        }
        assert!(!origins.allow(&headers(&["https://chat.example.com", "https://evil.test"])), "twice");
        // No browser.
        assert!(origins.allow(&headers(&[])));
        assert!(Origins::default().allow(&headers(&["https://evil.test"])));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_an_example() {
        for text in [
            "",
            "null",
            "*",
            "chat.example.com",
            "https://",
            "https://*.example.com",
            "https://chat.example.com/",
            "https://a@b",
            "://a",
            "https://:443",
        ] {
            let error = Origins::new([text]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{text:?} is no origin")) && error.contains("http://localhost:5173"),
                "{error}"
            );
        }
    }
}

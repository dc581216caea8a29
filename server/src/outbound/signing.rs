//! Signatures of what the server posts, as Standard Webhooks says (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A text that is no secret of a webhook. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `whsec_` and the base64 of 24 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)"
)]
pub struct SigningError;

/// The secrets that something is signed with. Each gives a signature, so that a receiver can have the old or the new one.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeys(Vec<Vec<u8>>);

impl SigningKeys {
    /// Reads secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, SigningError> {
        secrets.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let sign = |key: &Vec<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC has keys of any length");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    /// The headers of a signed body of JSON. `id` is visible ASCII; `timestamp` is in seconds since the Unix epoch.
    pub fn headers(&self, id: &str, timestamp: u64, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signature = self.sign(id, timestamp, body);
        let named = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        for (name, value) in named {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} secrets)", self.0.len())
    }
}

fn read(secret: &str) -> Result<Vec<u8>, SigningError> {
    let bytes = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or(SigningError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the libraries of Standard Webhooks.
        let keys = SigningKeys::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let signature = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(!format!("{keys:?}").contains("MfKQ"));
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
        let signature = SigningKeys::new(secrets).unwrap().sign("id", 1, b"");
        assert_eq!(signature.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_no base64 at all"]
        {
            assert_eq!(SigningKeys::new([text]), Err(SigningError), "{text}");
        }
    }
}

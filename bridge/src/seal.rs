//! Seals: proof of the head that a page was told (SUB-6).
//!
//! A seal is made with the secret of the log over stream, epoch and head. A page that returns one above the head proves
//! that the log went back. A page that merely claims a position proves nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::stream::StreamKey;

/// Bytes of the code that are sent: 128 bits can't be guessed.
const CODE_BYTES: usize = 16;

/// Makes and checks the seals of one log.
pub(crate) struct Seals(Hmac<Sha256>);

impl Seals {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The seal of a head: `<head>.<code>`, at most 43 bytes.
    pub(crate) fn seal(&self, stream: &StreamKey, epoch: &str, head: u64) -> String {
        let code = self.mac(stream, epoch, head).finalize().into_bytes();
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(&code[..CODE_BYTES]))
    }

    /// The head that a seal proves; `None` if it is no seal of this stream and epoch.
    pub(crate) fn proven_head(&self, stream: &StreamKey, epoch: &str, seal: &str) -> Option<u64> {
        let (head, code) = seal.split_once('.')?;
        let head = head.parse().ok()?;
        let code = URL_SAFE_NO_PAD.decode(code).ok().filter(|code| code.len() == CODE_BYTES)?;
        self.mac(stream, epoch, head).verify_truncated_left(&code).ok().map(|()| head)
    }

    fn mac(&self, stream: &StreamKey, epoch: &str, head: u64) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        // Neither a key nor an epoch holds a NUL.
        for part in ["agentwire seal", stream.as_str(), epoch] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(&head.to_le_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PROTOCOL: SUB-6
    #[test]
    fn a_seal_proves_the_head_of_its_stream_and_epoch_only() {
        let (seals, others) = (Seals::new(&[1; 32]), Seals::new(&[2; 32]));
        let stream = |name| StreamKey::new("ada", name).unwrap();
        let (t, u) = (stream("t"), stream("u"));
        let seal = seals.seal(&t, "e1", 42);
        assert!(seal.len() <= 128);
        assert_eq!(seals.proven_head(&t, "e1", &seal), Some(42));
        assert_eq!(seals.proven_head(&u, "e1", &seal), None);
        assert_eq!(seals.proven_head(&t, "e2", &seal), None);
        assert_eq!(others.proven_head(&t, "e1", &seal), None);
        let (_, code) = seal.split_once('.').unwrap();
        for forged in [
            format!("43.{code}"),
            "42.".to_owned(),
            format!("42.{}", &code[..4]),
            "42".to_owned(),
            String::new(),
            format!("-1.{code}"),
        ] {
            assert_eq!(seals.proven_head(&t, "e1", &forged), None, "{forged}");
        }
        assert!(seals.seal(&t, "e1", u64::MAX).len() <= 43);
    }
}

//! Tokens of users, and tokens that nobody should accept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// Far enough ahead for a token that does not expire within a check: the year 2096.
const LATER: u64 = 4_000_000_000;

/// The secret of a server, which signs tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    secret: String,
}

/// A way to claim to be somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// Signed with another secret.
    OtherSecret,
    /// Without a signature, and says so (`alg: none`).
    Unsigned,
    /// Signed for somebody else, and changed afterwards.
    Changed,
    /// Signed with another algorithm, by the right secret.
    OtherAlgorithm,
    /// Over since 2001.
    Expired,
    /// With a signature of nothing.
    EmptySignature,
    /// The name of the user is in a header instead of the claims.
    InHeader,
}

impl Forgery {
    pub(crate) const ALL: [Self; 7] = [
        Self::OtherSecret,
        Self::Unsigned,
        Self::Changed,
        Self::OtherAlgorithm,
        Self::Expired,
        Self::EmptySignature,
        Self::InHeader,
    ];
}

impl Tokens {
    /// A secret that nobody else knows.
    pub(crate) fn new() -> Self {
        Self { secret: std::iter::repeat_with(fastrand::alphanumeric).take(48).collect() }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The token of a user.
    pub(crate) fn of(&self, user: &str) -> String {
        sign(&Header::default(), &json!({ "sub": user, "exp": LATER }), &self.secret)
    }

    /// A token with which `attacker` claims to be `victim`.
    pub(crate) fn forged(&self, how: Forgery, attacker: &str, victim: &str) -> String {
        let claims = json!({ "sub": victim, "exp": LATER });
        match how {
            Forgery::OtherSecret => sign(&Header::default(), &claims, &"x".repeat(48)),
            Forgery::Unsigned => {
                format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&claims))
            }
            Forgery::Changed => {
                let own = self.of(attacker);
                let mut parts: Vec<&str> = own.split('.').collect();
                let changed = part(&claims);
                if let Some(middle) = parts.get_mut(1) {
                    *middle = &changed;
                }
                parts.join(".")
            }
            Forgery::OtherAlgorithm => sign(&Header::new(Algorithm::HS512), &claims, &self.secret),
            Forgery::Expired => {
                sign(&Header::default(), &json!({ "sub": victim, "exp": 1_000_000_000 }), &self.secret)
            }
            Forgery::EmptySignature => {
                format!("{}.{}.", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims))
            }
            Forgery::InHeader => {
                let own = self.of(attacker);
                let signature = own.rsplit('.').next().unwrap_or_default();
                let header = json!({ "alg": "HS256", "typ": "JWT", "sub": victim, "kid": victim });
                format!("{}.{}.{signature}", part(&header), part(&claims))
            }
        }
    }
}

fn sign(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims of texts and numbers can be signed with any secret")
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

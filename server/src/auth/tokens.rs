//! Whom a token names.

use std::collections::HashMap;
use std::sync::Arc;

use agentwire_bridge::{AuthError, Authenticator, Identity};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::Value;

use super::jwks::{Jwks, Lookup};
use super::keyset::VerifyingKey;
use super::revoked::Revoked;
use crate::clock::now_ms;

/// Bytes of the largest token.
const MAX_TOKEN_BYTES: usize = 16_384;

/// How tokens are checked.
#[derive(Debug)]
pub(super) struct Rules {
    /// Keys that change only with the configuration.
    pub(super) fixed: Vec<VerifyingKey>,
    pub(super) sets: Vec<Arc<Jwks>>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) leeway_ms: u64,
    pub(super) user_claim: String,
    pub(super) require_exp: bool,
}

/// Reads JSON Web Tokens, by rules that can be replaced. Clones share them.
#[derive(Clone, Debug)]
pub struct Tokens {
    rules: Arc<ArcSwap<Rules>>,
    revoked: Arc<Revoked>,
}

impl Tokens {
    pub(super) fn new(rules: Rules, revoked: Arc<Revoked>) -> Self {
        Self { rules: Arc::new(ArcSwap::from_pointee(rules)), revoked }
    }

    pub(super) fn replace(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        let rules = self.rules();
        let claims = rules.verify(token).await?;
        rules.identify(&claims, &self.revoked)
    }
}

impl Authenticator for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(self.check(token))
    }
}

type Claims = HashMap<String, Value>;

impl Rules {
    /// The claims of a token, if one of the keys has signed it.
    async fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid(&format!("it has more than {MAX_TOKEN_BYTES} bytes")));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| invalid("it is not a JWT that this server accepts"))?;
        // What must be understood and is not makes a token invalid (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(invalid("it has critical extensions, and this server knows none"));
        }
        if let Some(answer) = self.try_keys(token, &header) {
            return answer;
        }
        // Secrets are never in a set.
        if header.alg == Algorithm::HS256 {
            return Err(invalid("its signature does not match"));
        }
        if let Some(id) = &header.kid {
            let mut later = false;
            for set in self.sets.iter().filter(|set| !set.has(id)) {
                later |= set.look_for(id).await == Lookup::Later;
            }
            if let Some(answer) = self.try_keys(token, &header) {
                return answer;
            }
            if later {
                return Err(AuthError::Unavailable("its key is not known yet".to_owned()));
            }
        }
        if self.sets.iter().any(|set| set.keys().is_none()) {
            return Err(AuthError::Unavailable("the key set could not be read yet".to_owned()));
        }
        Err(invalid("it is not signed with a key that this server knows"))
    }

    /// Tries the keys that the token can be signed with; `None` if it is signed with none of them.
    fn try_keys(&self, token: &str, header: &Header) -> Option<Result<Claims, AuthError>> {
        let sets: Vec<_> = self.sets.iter().filter_map(|set| set.keys()).collect();
        let keys = self.fixed.iter().chain(sets.iter().flat_map(|keys| keys.iter()));
        let can_be = |key: &&VerifyingKey| {
            let is_named = |id: &String| header.kid.as_ref().is_none_or(|named| named == id);
            key.algorithm == header.alg && key.id.as_ref().is_none_or(is_named)
        };
        for key in keys.filter(can_be) {
            // The algorithm is that of the key: a token cannot choose another one.
            match jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation(key.algorithm)) {
                Ok(read) => return Some(Ok(read.claims)),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(error) => return Some(Err(explain(error.kind()))),
            }
        }
        None
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        // Times are checked below: here they are whole seconds.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.required_spec_claims.clear();
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        validation
    }

    /// The user of claims that a key has signed.
    fn identify(&self, claims: &Claims, revoked: &Revoked) -> Result<Identity, AuthError> {
        let now = now_ms();
        let expires = time(claims, "exp")?;
        match expires {
            None if self.require_exp => return Err(invalid("it has no `exp`")),
            Some(expires) if expires.saturating_add(self.leeway_ms) <= now => return Err(AuthError::Expired),
            _ => {}
        }
        if time(claims, "nbf")?.is_some_and(|from| from > now.saturating_add(self.leeway_ms)) {
            return Err(invalid("it is not valid yet"));
        }
        let issued = time(claims, "iat")?;
        if issued.is_some_and(|issued| issued > now.saturating_add(self.leeway_ms)) {
            return Err(invalid("its `iat` is in the future"));
        }
        let Some(Value::String(subject)) = claims.get(&self.user_claim) else {
            return Err(invalid(&format!("it has no text `{}` that names the user", self.user_claim)));
        };
        if revoked.is_revoked(subject, issued) {
            return Err(invalid("it was revoked"));
        }
        // The bridge compares the expiry with its clock: the leeway is in it.
        let expires_at_ms = expires.map(|expires| expires.saturating_add(self.leeway_ms));
        Ok(Identity { subject: subject.clone(), expires_at_ms })
    }
}

/// A time of a token, in milliseconds.
fn time(claims: &Claims, name: &str) -> Result<Option<u64>, AuthError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite());
            let seconds = seconds.ok_or_else(|| invalid(&format!("its `{name}` is no number")))?;
            Ok(Some((seconds.max(0.0) * 1000.0) as u64))
        }
    }
}

fn invalid(why: &str) -> AuthError {
    AuthError::Invalid(why.to_owned())
}

/// What is wrong with a token whose signature matches. The error's own text could quote a part of the token.
fn explain(kind: &ErrorKind) -> AuthError {
    invalid(match kind {
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => "it has no `aud`",
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => "it has no `iss`",
        _ => "it is not a JWT that this server accepts",
    })
}

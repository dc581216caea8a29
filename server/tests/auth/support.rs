//! Keys, tokens and configurations.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agentwire_bridge::{AuthError, Authenticator, Identity, Refusal};
use agentwire_server::auth::Auth;
use agentwire_server::auth::rights::{Access, Membership};
use agentwire_server::config::Config;
use futures_util::future::BoxFuture;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A secret of HS256.
pub(crate) const SECRET: &str = "a secret of the tests, with 32 bytes and more";

/// The path of a key of the tests.
pub(crate) fn key_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/auth/keys").join(name)
}

pub(crate) fn key_file(name: &str) -> Vec<u8> {
    std::fs::read(key_path(name)).unwrap()
}

/// The private key that signs with this algorithm.
pub(crate) fn signing(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&key_file("rsa.pem")).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&key_file("ec.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&key_file("ed.pem")).unwrap(),
        other => panic!("no key for {other:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens have times of the system's clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims of ada that are valid now, with some of them replaced; `null` takes one out.
pub(crate) fn claims(others: Value) -> Value {
    let mut claims = json!({ "sub": "ada", "exp": now() + 600, "iat": now() - 60 });
    for (name, value) in others.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A token with these claims, signed with `key`.
pub(crate) fn token(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// A token of HS256 with these claims.
pub(crate) fn secret_token(others: Value) -> String {
    token(Algorithm::HS256, None, &signing(Algorithm::HS256), &claims(others))
}

/// The public half of a key, as a key of a set.
pub(crate) fn jwk(algorithm: Algorithm, id: &str, key: &EncodingKey) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

/// A key set with one key of Ed25519.
pub(crate) fn ed_set(id: &str, file: &str) -> (Value, EncodingKey) {
    let key = EncodingKey::from_ed_pem(&key_file(file)).unwrap();
    (json!({ "keys": [jwk(Algorithm::EdDSA, id, &key)] }), key)
}

pub(crate) fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

/// Nobody is a member of anything.
pub(crate) struct Nobody;

impl Membership for Nobody {
    fn access<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<Access>, Refusal>> {
        Box::pin(async { Ok(None) })
    }

    fn readers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

pub(crate) async fn auth(text: &str) -> Arc<Auth> {
    Auth::start(&config(text), Arc::new(Nobody)).await.unwrap()
}

/// A configuration with [`SECRET`] and more keys of its section.
pub(crate) fn with_secret(more: &str) -> String {
    format!("[auth]\nsecrets = [{SECRET:?}]\n{more}")
}

pub(crate) async fn identify(auth: &Auth, token: &str) -> Result<Identity, AuthError> {
    auth.tokens().authenticate(token).await
}

/// Why a token is not valid.
pub(crate) async fn refused(auth: &Auth, token: &str) -> String {
    match identify(auth, token).await {
        Err(AuthError::Invalid(why)) => why,
        other => panic!("{other:?} instead of Invalid"),
    }
}

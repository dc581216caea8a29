//! Keys that verify tokens. A key is for one algorithm, which its type decides, and never the token.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of one JSON Web Key Set: a token without a `kid` is tried with each of one type.
const MAX_KEYS: usize = 64;

/// The smallest modulus of RSA, in bytes (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// A key, and the algorithm that it is for.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?} {:?})", self.algorithm, self.id)
    }
}

impl VerifyingKey {
    /// A secret of HS256. The configuration has checked its length.
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// A public key of a PEM file: RSA, P-256 or Ed25519.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let has = |label: &str| pem.windows(label.len()).any(|part| part == label.as_bytes());
        if has("PRIVATE KEY-----") {
            return Err("holds a private key: it belongs to who signs tokens; give the public key, as \
                        `openssl pkey -in private.pem -pubout` writes it"
                .to_owned());
        }
        if !has("-----BEGIN PUBLIC KEY-----") && !has("-----BEGIN RSA PUBLIC KEY-----") {
            return Err(
                "has no public key in PEM: it must begin with -----BEGIN PUBLIC KEY-----; make one of a \
                        certificate with `openssl x509 -in cert.pem -noout -pubkey`"
                    .to_owned(),
            );
        }
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (Algorithm::EdDSA, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            (Algorithm::RS256, key)
        } else {
            return Err("is no key of RSA, P-256 or Ed25519".to_owned());
        };
        Self::checked(None, algorithm, key)
    }

    /// A key of a key set.
    fn from_jwk(jwk: &Jwk) -> Result<Self, String> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature)
            || common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify))
        {
            return Err("is not for signatures".to_owned());
        }
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            // A secret that can be fetched is none.
            AlgorithmParameters::OctetKey(_) => return Err("is a secret".to_owned()),
            _ => return Err("is no key of RSA, P-256 or Ed25519".to_owned()),
        };
        if common.key_algorithm.is_some_and(|of| of != named) {
            return Err("is for another algorithm than RS256, ES256 and EdDSA".to_owned());
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| "has numbers that cannot be read".to_owned())?;
        Self::checked(common.key_id.clone(), algorithm, key)
    }

    fn checked(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Result<Self, String> {
        if algorithm == Algorithm::RS256 {
            let bytes = match key.kind() {
                DecodingKeyKind::SecretOrDer(der) => der.len(),
                DecodingKeyKind::RsaModulusExponent { n, .. } => {
                    n.iter().skip_while(|byte| **byte == 0).count()
                }
            };
            if bytes < MIN_RSA_BYTES {
                return Err(
                    "is an RSA key of less than 2,048 bits: others could find out the private key".to_owned()
                );
            }
        }
        // A signature that is none: only a key that cannot be used at all is an error.
        match jsonwebtoken::crypto::verify("AAAA", b"", &key, algorithm) {
            Ok(_) => Ok(Self { id, algorithm, key }),
            Err(_) => Err("is no key of RSA, P-256 or Ed25519".to_owned()),
        }
    }
}

/// The keys of a JSON Web Key Set, and why others cannot be used. An error if none can.
pub(super) fn read_set(text: &[u8]) -> Result<(Vec<VerifyingKey>, Vec<String>), String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(text)
        .map_err(|_| "is no JSON Web Key Set: it must be {\"keys\": [...]}".to_owned())?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("has {} keys; the most are {MAX_KEYS}", set.keys.len()));
    }
    let mut keys = Vec::new();
    let mut refused = Vec::new();
    for (index, value) in set.keys.into_iter().enumerate() {
        let jwk = serde_json::from_value::<Jwk>(value).map_err(|_| "is no JSON Web Key".to_owned());
        match jwk.and_then(|jwk| VerifyingKey::from_jwk(&jwk)) {
            Ok(key) => keys.push(key),
            Err(why) => refused.push(format!("key {index} {why}")),
        }
    }
    if keys.is_empty() {
        let why = if refused.is_empty() { String::new() } else { format!(": {}", refused.join(", ")) };
        return Err(format!("has no key that can be used{why}"));
    }
    Ok((keys, refused))
}

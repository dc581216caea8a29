//! What makes a token valid, and what does not.

use agentwire_bridge::AuthError;
use agentwire_server::auth::{self, keys::ServiceKeys};
use agentwire_server::config::KeyRight;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::support::{
    SECRET, auth, claims, config, identify, key_file, key_path, now, refused, secret_token, signing, token,
    with_secret,
};

const PUBLIC: [(Algorithm, &str); 3] =
    [(Algorithm::RS256, "rsa.pub.pem"), (Algorithm::ES256, "ec.pub.pem"), (Algorithm::EdDSA, "ed.pub.pem")];

fn with_public_keys(names: &[&str]) -> String {
    let paths: Vec<_> = names.iter().map(|name| key_path(name)).collect();
    format!("[auth]\npublic_keys = {paths:?}\n")
}

#[tokio::test]
async fn tokens_of_each_algorithm_name_their_user() {
    let auth =
        auth(&(with_public_keys(&PUBLIC.map(|(_, name)| name)) + &format!("secrets = [{SECRET:?}]"))).await;
    let exp = now() + 600;
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        for id in [None, Some("any")] {
            let token = token(algorithm, id, &signing(algorithm), &claims(json!({ "exp": exp })));
            let identity = identify(&auth, &token).await.unwrap();
            assert_eq!(
                (identity.subject.as_str(), identity.expires_at_ms),
                ("ada", Some(exp * 1000 + 5_000))
            );
        }
    }
}

#[tokio::test]
async fn two_secrets_are_valid_while_one_is_replaced() {
    let old = "the old secret of the tests, with 32 bytes and more";
    let both = auth(&format!("[auth]\nsecrets = [{SECRET:?}, {old:?}]")).await;
    let with_old =
        encode(&Header::default(), &claims(json!({})), &EncodingKey::from_secret(old.as_bytes())).unwrap();
    assert!(identify(&both, &with_old).await.is_ok());
    assert!(identify(&both, &secret_token(json!({}))).await.is_ok());
    both.reload(&config(&with_secret(""))).await.unwrap();
    assert!(refused(&both, &with_old).await.contains("signature"));
    assert!(identify(&both, &secret_token(json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let auth =
        auth(&(with_public_keys(&PUBLIC.map(|(_, name)| name)) + &format!("secrets = [{SECRET:?}]"))).await;
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = token(algorithm, None, &signing(algorithm), &claims(json!({})));
        let [header, _, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let other = URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "bob" })).to_string());
        let forged = format!("{header}.{other}.{signature}");
        let why = refused(&auth, &forged).await;
        assert!(!why.contains(&other) && !why.contains("bob"), "{why}");
        refused(&auth, &format!("{header}.{other}.")).await;
    }
}

#[tokio::test]
async fn a_token_cannot_choose_another_algorithm() {
    for (algorithm, name) in PUBLIC {
        let auth = auth(&with_public_keys(&[name])).await;
        assert!(
            identify(&auth, &token(algorithm, None, &signing(algorithm), &claims(json!({})))).await.is_ok()
        );
        // What everybody knows, taken for a secret: the file, and the bytes of the key in it.
        let pem = key_file(name);
        let text = String::from_utf8(pem.clone()).unwrap();
        let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
        for secret in [&pem[..], &der, &der[der.len() - 32..], &der[der.len().saturating_sub(65)..]] {
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let forged =
                    encode(&Header::new(hmac), &claims(json!({})), &EncodingKey::from_secret(secret))
                        .unwrap();
                refused(&auth, &forged).await;
            }
        }
        // The signature of one algorithm under the name of another.
        for other in
            ["none", "None", "NONE", "", "HS256", "RS256", "ES256", "EdDSA", "PS256", "RS512", "ES384"]
        {
            if format!("{algorithm:?}") == other {
                continue;
            }
            let valid = token(algorithm, None, &signing(algorithm), &claims(json!({})));
            let [_, body, signature] = valid.split('.').collect::<Vec<_>>().try_into().unwrap();
            let header = URL_SAFE_NO_PAD.encode(json!({ "alg": other, "typ": "JWT" }).to_string());
            for forged in [format!("{header}.{body}.{signature}"), format!("{header}.{body}.")] {
                refused(&auth, &forged).await;
            }
        }
    }
}

#[tokio::test]
async fn times_are_checked_with_the_leeway() {
    let auth = auth(&with_secret("leeway_ms = 5000")).await;
    let expired = secret_token(json!({ "exp": now() - 6 }));
    assert_eq!(identify(&auth, &expired).await, Err(AuthError::Expired));
    assert!(identify(&auth, &secret_token(json!({ "exp": now() - 2 }))).await.is_ok());
    assert!(refused(&auth, &secret_token(json!({ "nbf": now() + 60 }))).await.contains("not valid yet"));
    assert!(identify(&auth, &secret_token(json!({ "nbf": now() + 3 }))).await.is_ok());
    assert!(refused(&auth, &secret_token(json!({ "iat": now() + 60 }))).await.contains("future"));
    for name in ["exp", "nbf", "iat"] {
        assert!(refused(&auth, &secret_token(json!({ name: "soon" }))).await.contains(name), "{name}");
    }
    let strict = auth_without_leeway().await;
    assert_eq!(identify(&strict, &secret_token(json!({ "exp": now() - 1 }))).await, Err(AuthError::Expired));
}

async fn auth_without_leeway() -> std::sync::Arc<auth::Auth> {
    auth(&with_secret("leeway_ms = 0")).await
}

#[tokio::test]
async fn a_token_without_expiry_is_refused_unless_it_is_allowed() {
    let strict = auth(&with_secret("")).await;
    assert!(refused(&strict, &secret_token(json!({ "exp": null }))).await.contains("no `exp`"));
    let lax = auth(&with_secret("require_exp = false")).await;
    assert_eq!(identify(&lax, &secret_token(json!({ "exp": null }))).await.unwrap().expires_at_ms, None);
    assert_eq!(identify(&lax, &secret_token(json!({ "exp": now() - 60 }))).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn issuer_and_audience_are_those_of_the_configuration() {
    let auth = auth(&with_secret("issuer = \"https://id.test\"\naudience = \"chat\"")).await;
    let valid = json!({ "iss": "https://id.test", "aud": ["other", "chat"] });
    assert!(identify(&auth, &secret_token(valid)).await.is_ok());
    for (claims, why) in [
        (json!({ "iss": "https://evil.test", "aud": "chat" }), "another issuer"),
        (json!({ "iss": "https://id.test", "aud": "other" }), "another audience"),
        (json!({ "iss": "https://id.test", "aud": [] }), "another audience"),
        (json!({ "aud": "chat" }), "no `iss`"),
        (json!({ "iss": "https://id.test" }), "no `aud`"),
        (json!({ "iss": 5, "aud": "chat" }), "no `iss`"),
    ] {
        let found = refused(&auth, &secret_token(claims.clone())).await;
        assert!(found.contains(why), "{claims}: {found}");
    }
}

#[tokio::test]
async fn a_user_is_a_text_of_the_claim_that_was_chosen() {
    let auth = auth(&with_secret("user_claim = \"https://example.com/user\"")).await;
    let token = secret_token(json!({ "https://example.com/user": "bob" }));
    assert_eq!(identify(&auth, &token).await.unwrap().subject, "bob");
    assert!(refused(&auth, &secret_token(json!({}))).await.contains("https://example.com/user"));
    refused(&auth, &secret_token(json!({ "https://example.com/user": 7 }))).await;
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let auth = auth(&with_secret("")).await;
    let crit = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let crit = encode(&crit, &claims(json!({})), &signing(Algorithm::HS256)).unwrap();
    assert!(refused(&auth, &crit).await.contains("critical"));
    let large = secret_token(json!({ "more": "x".repeat(20_000) }));
    assert!(refused(&auth, &large).await.contains("16384 bytes"));
    for text in ["", ".", "..", "a.b.c", "\0", "e30.e30.", "ünïcode"] {
        refused(&auth, text).await;
    }
}

#[tokio::test]
async fn a_revoked_user_needs_a_new_token() {
    let auth = auth(&with_secret("")).await;
    let old = secret_token(json!({ "iat": now() - 1 }));
    let unknown = secret_token(json!({ "iat": null }));
    assert!(identify(&auth, &old).await.is_ok() && identify(&auth, &unknown).await.is_ok());
    auth.revoke("ada");
    for token in [&old, &unknown] {
        assert!(refused(&auth, token).await.contains("revoked"));
    }
    assert!(identify(&auth, &secret_token(json!({ "iat": now() + 2 }))).await.is_ok());
    assert!(identify(&auth, &secret_token(json!({ "sub": "bob", "iat": now() - 1 }))).await.is_ok());
    auth.reload(&config(&with_secret(""))).await.unwrap();
    assert!(refused(&auth, &old).await.contains("revoked"), "after a reload");
}

#[tokio::test]
async fn files_that_hold_no_usable_public_key_are_refused_with_the_reason() {
    for (name, why) in [
        ("rsa.pem", "private key"),
        ("rsa-1024.pub.pem", "2,048 bits"),
        ("ec-384.pub.pem", "no key of RSA, P-256 or Ed25519"),
        ("ec-k1.pub.pem", "no key of RSA, P-256 or Ed25519"),
        ("missing.pem", "cannot be read"),
    ] {
        let problems = auth::check(&config(&with_public_keys(&["rsa.pub.pem", name])));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, "auth.public_keys[1]");
        assert!(problems[0].message.contains(why), "{}", problems[0]);
    }
}

#[tokio::test]
async fn a_failed_reload_changes_nothing() {
    let auth = auth(&with_secret("")).await;
    let problems = auth.reload(&config(&with_public_keys(&["missing.pem"]))).await.unwrap_err();
    assert!(problems.to_string().contains("missing.pem"));
    assert!(identify(&auth, &secret_token(json!({}))).await.is_ok());
}

#[test]
fn a_service_key_is_found_with_its_rights_and_threads() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "the key of the file, with 32 bytes or more\n".replace(' ', "-")).unwrap();
    // SHA-256 of `key-of-the-digest-0123456789abcdef`.
    let config = config(&format!(
        "[[keys]]\nname = 'one'\nkey = 'key-of-the-configuration-0123456789'\nrights = ['publish', 'read']\n\
         [[keys]]\nname = 'two'\nkey_file = {:?}\nrights = ['deliver']\nthreads = ['team-7/', 'ada/plan']\n\
         [[keys]]\nname = 'three'\nkey_sha256 = '{}'\nrights = ['admin']\n",
        file.path(),
        "58f7954723fa25a023400fa1f018cdcc8a5815918fd24e23239fbc4f0ab7051c",
    ));
    let keys = ServiceKeys::new(&config.keys).unwrap();
    let one = keys.find("key-of-the-configuration-0123456789").unwrap();
    assert_eq!((one.name(), one.may(KeyRight::Publish), one.may(KeyRight::Admin)), ("one", true, false));
    assert!(one.covers("anything") && one.covers_all());
    let two = keys.find("the-key-of-the-file,-with-32-bytes-or-more").unwrap();
    assert_eq!(two.name(), "two");
    assert!(
        two.covers("team-7/plan") && two.covers("ada/plans") && !two.covers("team-77") && !two.covers_all()
    );
    assert_eq!(keys.find("key-of-the-digest-0123456789abcdef").unwrap().name(), "three");
    for other in ["", "key-of-the-configuration-012345678", "key-of-the-configuration-01234567890", "three"] {
        assert!(keys.find(other).is_none(), "{other}");
    }
    let shown = format!("{keys:?} {config:?}");
    assert!(!shown.contains("0123456789"), "{shown}");
}

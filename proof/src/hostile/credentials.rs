//! Tokens that must not open anything.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::attack::{Attack, Lift, Stage, hello};
use super::tokens::{self, LATER, SECRET, made, part, signed};

/// How long the server may take to refuse a token.
const AT_ONCE: Duration = Duration::from_secs(3);

const INVALID: (&str, u16) = ("token_invalid", 4450);

pub(super) fn attacks() -> Vec<Attack> {
    let token = |attack: Attack| attack.held("the check of tokens", "{}", Lift::Option("tokens"));
    vec![
        token(
            Attack::new("token-alg", "names algorithms that are none, or not HS256", |stage| {
                Box::pin(async move {
                    let claims = json!({ "sub": "honest", "exp": LATER });
                    let names = ["none", "None", "nOnE", "", "HS512", "hs256", "RS256", "ES256"];
                    for alg in names {
                        let parts = format!(
                            "{}.{}",
                            part(json!({ "alg": alg }).to_string()),
                            part(claims.to_string())
                        );
                        for token in [format!("{parts}."), signed(&parts, SECRET), signed(&parts, "")] {
                            refused(&stage, &token, INVALID).await.with_context(|| format!("alg {alg:?}"))?;
                        }
                    }
                    refused(&stage, &made(&json!({ "typ": "JWT" }), &claims, SECRET), INVALID).await
                })
            })
            .quick(),
        ),
        token(Attack::new("token-crit", "has a critical header that nobody knows", |stage| {
            Box::pin(async move {
                let claims = json!({ "sub": "honest", "exp": LATER });
                let header = json!({ "alg": "HS256", "crit": ["exp2"], "exp2": 1 });
                refused(&stage, &made(&header, &claims, SECRET), INVALID).await
            })
        })),
        token(
            Attack::new("token-secret", "is signed with another secret, or with a bit changed", |stage| {
                Box::pin(async move {
                    let claims = json!({ "sub": "honest", "exp": LATER });
                    let header = json!({ "alg": "HS256" });
                    let right = made(&header, &claims, SECRET);
                    let (parts, signature) = right.rsplit_once('.').context("a token has three parts")?;
                    let flipped = format!(
                        "{parts}.{}{}",
                        if signature.starts_with('A') { "B" } else { "A" },
                        &signature[1..]
                    );
                    let tokens = [
                        made(&header, &claims, "another secret, also of 32 bytes or more"),
                        made(&header, &claims, ""),
                        flipped,
                        format!("{parts}."),
                        format!("{parts}.{}", &signature[..20]),
                        format!("{}.{signature}", parts.replace('.', "..")),
                    ];
                    for token in tokens {
                        refused(&stage, &token, INVALID).await?;
                    }
                    Ok(())
                })
            })
            .quick(),
        ),
        token(Attack::new("token-sub", "names nobody, or a user that no name can be", |stage| {
            Box::pin(async move {
                let long = "x".repeat(257);
                let subs = [
                    json!(""),
                    json!(null),
                    json!(7),
                    json!(["honest"]),
                    json!({ "a": 1 }),
                    json!(long),
                    json!("a\u{0}b"),
                    json!("a\nb"),
                    json!("\u{7f}"),
                ];
                for sub in subs {
                    let token =
                        made(&json!({ "alg": "HS256" }), &json!({ "sub": sub, "exp": LATER }), SECRET);
                    refused(&stage, &token, INVALID).await.with_context(|| format!("sub {sub}"))?;
                }
                refused(&stage, &made(&json!({ "alg": "HS256" }), &json!({ "exp": LATER }), SECRET), INVALID)
                    .await
            })
        })),
        token(Attack::new(
            "token-times",
            "has expired, is not valid yet, or has times that are none",
            |stage| {
                Box::pin(async move {
                    let with = |claims: Value| made(&json!({ "alg": "HS256" }), &claims, SECRET);
                    for exp in [json!(0), json!(1), json!(1.5), json!(1_700_000_000)] {
                        let token = with(json!({ "sub": "eve", "exp": exp }));
                        refused(&stage, &token, ("token_expired", 4451))
                            .await
                            .with_context(|| format!("exp {exp}"))?;
                    }
                    for claims in [
                        json!({ "sub": "eve", "exp": "never" }),
                        json!({ "sub": "eve", "exp": -5 }),
                        json!({ "sub": "eve", "exp": [LATER] }),
                        json!({ "sub": "eve", "nbf": LATER, "exp": LATER }),
                    ] {
                        refused(&stage, &with(claims.clone()), INVALID)
                            .await
                            .with_context(|| claims.to_string())?;
                    }
                    Ok(())
                })
            },
        )),
        token(Attack::new("token-garbage", "is no token", |stage| {
            Box::pin(async move {
                for token in
                    [".", "..", "...", "a.b.c", "eyJ.eyJ.eyJ", "\u{1f600}", "null", "Bearer x", "a b", "%00"]
                {
                    refused(&stage, token, INVALID).await.with_context(|| format!("{token:?}"))?;
                }
                refused(&stage, &"a.".repeat(8_000), INVALID).await
            })
        })),
        Attack::new("token-length", "has 16,385 bytes, or a megabyte", |stage| {
            Box::pin(async move {
                refused(&stage, &"x".repeat(16_385), ("bad_frame", 4400)).await?;
                let mut socket = stage.socket().await?;
                // The end may come before the last byte was written.
                let _cut = socket.json(&hello(&"x".repeat(1_000_000), json!([]))).await;
                let ended = socket.end(AT_ONCE).await?;
                ensure!(matches!(ended.close, None | Some(4402 | 1009)), "closed with {:?}", ended.close);
                Ok(())
            })
        })
        .held("GEN-6 and 64 KiB before the welcome", "{}", Lift::Option("refusals"))
        .quick(),
        token(Attack::new(
            "token-of-http",
            "asks for events without a token, or with a wrong one",
            |stage| Box::pin(async move { over_http(&stage).await }),
        )),
        Attack::new("token-refresh", "refreshes with the token of somebody else", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                page.json(&json!({ "type": "refresh", "token": tokens::of("honest") })).await?;
                let error = page.until("error").await?;
                ensure!(error["code"] == "token_invalid", "got {error}");
                Ok(())
            })
        })
        .held("TOK-2", "{}", Lift::Option("refusals")),
    ]
}

async fn refused(stage: &Stage, token: &str, (error, close): (&str, u16)) -> Result<()> {
    let mut socket = stage.socket().await?;
    socket.json(&hello(token, json!([]))).await?;
    let ended = socket.refused(AT_ONCE, error, close).await?;
    ensure!(!ended.frames.iter().any(|kind| kind == "welcome"), "it was welcomed");
    Ok(())
}

async fn over_http(stage: &Stage) -> Result<()> {
    let right = tokens::of("eve");
    let wrong =
        made(&json!({ "alg": "HS256" }), &json!({ "sub": "eve" }), "another secret of 32 bytes or more");
    let cases = [
        (String::new(), 401),
        (format!("authorization: Bearer {wrong}\r\n"), 401),
        (format!("authorization: Basic {right}\r\n"), 401),
        (format!("authorization: {right}\r\n"), 401),
        ("authorization: Bearer \r\n".to_owned(), 401),
        (format!("cookie: token={right}\r\n"), 401),
        // RFC 9110, section 11.1: the name of the scheme has no case.
        (format!("authorization: bearer {right}\r\n"), 200),
        (format!("authorization: Bearer {right}\r\n"), 200),
    ];
    for (header, status) in cases {
        let mut peer = stage.peer().await?;
        peer.write(format!("GET /v1/threads/t/events HTTP/1.1\r\nhost: stand\r\n{header}\r\n").as_bytes())
            .await?;
        let answer = peer.answer(AT_ONCE).await?;
        let kind: String = header.chars().take(24).collect();
        ensure!(answer.status == status, "{kind:?} got {} instead of {status}", answer.status);
    }
    Ok(())
}

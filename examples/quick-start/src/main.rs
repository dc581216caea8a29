//! A server with an agent: it repeats what it is told, word by word.

use std::error::Error;
use std::time::Duration;

use agentwire_bridge::{AgentError, AuthError, Authenticator, Bridge, Identity, SqliteLog, Turn};
use futures_util::future::{BoxFuture, ready};
use tower_http::services::ServeDir;

async fn parrot(turn: Turn) -> Result<(), AgentError> {
    let run = turn.run("parrot").await?;
    let mut answer = run.message();
    for word in turn.message.content.split_inclusive(' ') {
        answer.delta(word).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    answer.complete().await?;
    run.complete("Repeated.").await?;
    Ok(())
}

/// Takes a token for the name of its user. Yours checks it: `Hs256::new(secret)?` reads signed tokens.
struct Anybody;

impl Authenticator for Anybody {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(ready(Ok(Identity { subject: token.to_owned(), expires_at_ms: None })))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where to look")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let log = SqliteLog::open("quick-start.sqlite")?;
    let bridge = Bridge::builder().log(log).authenticator(Anybody).agent(parrot).build().await?;
    let app = bridge
        .router()
        .nest_service("/agentwire", ServeDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pkg")))
        .fallback_service(ServeDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/page")));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(bridge.serve(listener, app).await?)
}

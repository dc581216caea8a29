//! Calls over TLS: to a site whose certificate is trusted, and to others.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use agentwire_server::outbound::{Outbound, OutboundError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use url::Url;

/// Names the site for the process that trusts its certificate.
const URL: &str = "AGENTWIRE_TEST_TLS_URL";

/// A site for `localhost` that answers every request with `ok`, and its certificate.
async fn site() -> (SocketAddr, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4_096];
            if stream.read(&mut request).await.is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    (address, cert.pem())
}

/// Runs a test of this file in a process of its own that trusts the certificates of a file alone.
async fn trusting(certificates: &Path, url: &str) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tls::a_trusted_site_is_called", "--ignored"]);
    command.env("SSL_CERT_FILE", certificates).env_remove("SSL_CERT_DIR").env(URL, url);
    command.kill_on_drop(true).output().await.unwrap().status.success()
}

#[tokio::test]
#[ignore = "a part of the next test"]
async fn a_trusted_site_is_called() {
    let url: Url = std::env::var(URL).unwrap().parse().unwrap();
    let answer = Outbound::new(true).unwrap().get(&url).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn only_a_site_with_a_trusted_certificate_for_its_name_is_called() {
    let (address, certificate) = site().await;
    let url = format!("https://localhost:{}/", address.port());
    let called = Outbound::new(true).unwrap().get(&url.parse().unwrap()).await;
    assert!(
        matches!(&called, Err(OutboundError::Connection(why)) if why.contains("certificate")),
        "{called:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trusted.pem");
    std::fs::write(&path, certificate).unwrap();
    assert!(trusting(&path, &url).await);
    assert!(
        !trusting(&path, &url.replace("localhost", "127.0.0.1")).await,
        "a name that the certificate has not"
    );
}

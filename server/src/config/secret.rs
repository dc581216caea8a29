//! Texts that no log, error or debug output shows.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use url::Url;

/// The largest file of a secret, in bytes.
const MAX_FILE_BYTES: u64 = 65_536;

/// A secret. Only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret from a file, without the end of its last line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let size = fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?.len();
        if size > MAX_FILE_BYTES {
            return Err(format!("{shown} has {size} bytes; a secret has at most {MAX_FILE_BYTES}"));
        }
        let bytes = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))?;
        Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A URL to call. Its debug output shows scheme, host and port: path and query can hold a token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL itself.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl From<Url> for Endpoint {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

//! The secret that signs tokens: from the environment, or kept beside the log so that tokens survive a restart.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The environment variable that may hold the secret.
pub(crate) const VARIABLE: &str = "AGENT_CHAT_SECRET";

/// Shortest secret, in bytes: as long as the hash of HS256 (RFC 7518, section 3.2).
const MIN_BYTES: usize = 32;

/// Bytes of a secret made here, before they are written as hexadecimal digits.
const RANDOM_BYTES: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The one of the environment is too short.
    #[error("{VARIABLE} must have {MIN_BYTES} bytes or more; unset it to let the server make one")]
    TooShort,
    /// The file holds something else.
    #[error("the secret in {path:?} is too short; delete the file to let the server make another")]
    BadFile {
        /// Where it is.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("others may read the secret in {path:?}; run `chmod 600` on it, or delete it to get another")]
    Exposed {
        /// Where it is.
        path: PathBuf,
    },
    /// The file cannot be read or made.
    #[error("the secret in {path:?} cannot be read or made: {source}")]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}; set {VARIABLE}")]
    NoRandomness(getrandom::Error),
}

/// What signs tokens. It is never shown.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// Takes the secret of the environment, or the one beside `log`, which is made when it is missing.
    pub(crate) fn load(environment: Option<OsString>, log: &Path) -> Result<Self, SecretError> {
        if let Some(secret) = environment {
            let secret = Self(secret.into_encoded_bytes());
            return if secret.0.len() < MIN_BYTES { Err(SecretError::TooShort) } else { Ok(secret) };
        }
        let mut path = log.as_os_str().to_owned();
        path.push(".secret");
        let path = PathBuf::from(path);
        let io = |source| SecretError::Io { path: path.clone(), source };
        match Self::read(&path) {
            Err(SecretError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make(&path, &random()?).map_err(io)?;
                // Also when another process was quicker: both use what is there.
                Self::read(&path)
            }
            other => other,
        }
    }

    /// The bytes, for the signature.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn read(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(io)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
                return Err(SecretError::Exposed { path: path.to_owned() });
            }
        }
        let secret = Self(text.trim().as_bytes().to_vec());
        if secret.0.len() < MIN_BYTES {
            return Err(SecretError::BadFile { path: path.to_owned() });
        }
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn random() -> Result<String, SecretError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(SecretError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file with mode 0600 that is whole from its first moment; one that is there already stays.
fn make(path: &Path, content: &str) -> io::Result<()> {
    let folder =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("chat.sqlite");
        let first = Secret::load(None, &log).unwrap();
        assert_eq!(first.bytes().len(), 2 * RANDOM_BYTES);
        assert_eq!(Secret::load(None, &log).unwrap().bytes(), first.bytes());
        let other = Secret::load(None, &dir.path().join("other.sqlite")).unwrap();
        assert_ne!(other.bytes(), first.bytes());

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = dir.path().join("chat.sqlite.secret");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(Secret::load(None, &log), Err(SecretError::Exposed { .. })));
        }
    }

    #[test]
    fn the_environment_wins_and_short_secrets_are_refused() {
        let log = Path::new("no-such-folder/chat.sqlite");
        let secret = Secret::load(Some("x".repeat(MIN_BYTES).into()), log).unwrap();
        assert_eq!(secret.bytes(), "x".repeat(MIN_BYTES).as_bytes());
        assert!(matches!(Secret::load(Some("short".into()), log), Err(SecretError::TooShort)));
        assert!(matches!(Secret::load(None, log), Err(SecretError::Io { .. })));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}

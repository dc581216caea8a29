//! The secrets of the configuration, from the file itself or from files that it names.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::{AuthSection, DeliverSection, KeySection, Problem, RightsSection, Secret};
use crate::outbound::SigningKeys;

/// The shortest secret of HS256 and the shortest service key, in bytes.
const MIN_BYTES: usize = 32;

/// Secrets, and what is wrong with others.
type Found<T> = (T, Vec<Problem>);

/// The secrets of two keys: one holds them, the other names their files. Each has to pass `check`.
fn all(
    section: &str,
    (texts_key, texts): (&str, &[Secret]),
    (files_key, files): (&str, &[PathBuf]),
    check: impl Fn(&Secret) -> Result<(), String>,
) -> Found<Vec<Secret>> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let here = texts.iter().map(|secret| Ok(secret.clone()));
    let in_files = files.iter().map(|path| Secret::read(path));
    let keys = (0..texts.len()).map(|index| format!("{section}.{texts_key}[{index}]"));
    let keys = keys.chain((0..files.len()).map(|index| format!("{section}.{files_key}[{index}]")));
    for (key, secret) in keys.zip(here.chain(in_files)) {
        match secret.and_then(|secret| check(&secret).map(|()| secret)) {
            Ok(secret) => found.push(secret),
            Err(message) => problems.push(Problem::new(key, message)),
        }
    }
    (found, problems)
}

fn signing_keys(
    section: &str,
    texts: (&str, &[Secret]),
    files: (&str, &[PathBuf]),
) -> Found<Option<SigningKeys>> {
    let check =
        |secret: &Secret| SigningKeys::new([secret.expose()]).map(drop).map_err(|error| error.to_string());
    let (secrets, problems) = all(section, texts, files, check);
    let keys = SigningKeys::new(secrets.iter().map(Secret::expose)).ok().filter(|_| !secrets.is_empty());
    (keys, problems)
}

impl AuthSection {
    /// The secrets of HS256.
    pub fn all_secrets(&self) -> Found<Vec<Secret>> {
        let check = |secret: &Secret| long_enough(secret.expose());
        all("auth", ("secrets", &self.secrets), ("secret_files", &self.secret_files), check)
    }
}

impl RightsSection {
    /// What questions are signed with; none if there is no secret.
    pub fn signing_keys(&self) -> Found<Option<SigningKeys>> {
        let files = ("ask_secret_files", self.ask_secret_files.as_slice());
        signing_keys("rights", ("ask_secrets", &self.ask_secrets), files)
    }
}

impl DeliverSection {
    /// What deliveries are signed with; none if there is no secret.
    pub fn signing_keys(&self) -> Found<Option<SigningKeys>> {
        signing_keys("deliver", ("secrets", &self.secrets), ("secret_files", &self.secret_files))
    }
}

impl KeySection {
    /// The SHA-256 of the key. `index` is its place in the list.
    pub fn digest(&self, index: usize) -> Result<[u8; 32], Problem> {
        let problem = |key: &str, message: String| Problem::new(format!("keys[{index}]{key}"), message);
        match (&self.key, &self.key_file, &self.key_sha256) {
            (Some(key), None, None) => digest(key).map_err(|message| problem(".key", message)),
            (None, Some(path), None) => {
                let digest = Secret::read(path).and_then(|key| digest(&key));
                digest.map_err(|message| problem(".key_file", message))
            }
            (None, None, Some(hex)) => from_hex(hex).ok_or_else(|| {
                let message = "must be 64 hexadecimal digits; make them with: printf %s \"$KEY\" | sha256sum";
                problem(".key_sha256", message.to_owned())
            }),
            _ => Err(problem("", "needs one of `key`, `key_file` and `key_sha256`".to_owned())),
        }
    }
}

fn digest(key: &Secret) -> Result<[u8; 32], String> {
    let text = key.expose();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces: it is sent in a header".to_owned());
    }
    long_enough(text).map(|()| Sha256::digest(text).into())
}

fn long_enough(text: &str) -> Result<(), String> {
    if text.len() >= MIN_BYTES {
        return Ok(());
    }
    let bytes = text.len();
    Err(format!("has {bytes} bytes, but needs {MIN_BYTES} or more; make one with: openssl rand -hex 32"))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

//! API keys: 256 random bits each, with a role. Only a hash is kept; keys of so much entropy need no slow one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Prefix of every key, so that a leaked one is recognised.
const PREFIX: &str = "muster_";

/// What a caller may do; each may do what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look, and recognise.
    Read,
    /// Correct groups, enrol, forget, index.
    Write,
    /// Everything.
    Admin,
}

/// A key as the file of keys has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Whose it is.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// BLAKE3 of the key, in hexadecimal digits.
    hash: String,
}

/// Errors of the file of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("{} is not a file of API keys ({reason}): make one with `muster keys add`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The name is invalid, taken, or unknown.
    #[error("{0}")]
    Name(String),
}

/// The keys of a service.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    path: PathBuf,
    /// Whether `path` is a file, and not the name of what the text came from.
    is_file: bool,
    keys: Vec<Key>,
}

fn hash(key: &str) -> blake3::Hash {
    blake3::hash(key.as_bytes())
}

impl Keys {
    /// Reads the keys of a file; none where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold keys.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self { is_file: true, ..Self::parse(path, &bytes)? }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path: path.to_owned(), is_file: true, keys: Vec::new() })
            }
            Err(source) => Err(KeysError::Io { path: path.to_owned(), source }),
        }
    }

    /// Parses the text of keys. `path` says where it came from, for messages.
    ///
    /// # Errors
    /// The text does not hold keys.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, KeysError> {
        let damaged =
            |error: serde_json::Error| KeysError::Damaged { path: path.to_owned(), reason: error.to_string() };
        Ok(Self { path: path.to_owned(), is_file: false, keys: serde_json::from_slice(text).map_err(damaged)? })
    }

    /// Creates a key and returns it. Only its hash is kept, so it cannot be shown again.
    ///
    /// # Errors
    /// The name is invalid or taken, or the file cannot be written.
    pub fn add(&mut self, name: &str, role: Role) -> Result<String, KeysError> {
        let odd = name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control);
        if odd {
            return Err(KeysError::Name("a key's name has 1 to 64 characters, all on one line".into()));
        }
        if self.keys.iter().any(|key| key.name == name) {
            return Err(KeysError::Name(format!(
                "there is a key called {name:?} already: `muster keys remove` it first"
            )));
        }
        let mut secret = [0; 32];
        let random = getrandom::fill(&mut secret);
        random.map_err(|error| KeysError::Io { path: "random bytes of the system".into(), source: error.into() })?;
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        self.keys.push(Key { name: name.to_owned(), role, hash: hash(&key).to_string() });
        self.write()?;
        Ok(key)
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// There is no key of that name, or the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<(), KeysError> {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        if self.keys.len() == before {
            return Err(KeysError::Name(format!("there is no key called {name:?}: `muster keys` lists them")));
        }
        self.write()
    }

    /// Returns the file of the keys; `None` where they came from elsewhere.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.is_file.then_some(&*self.path)
    }

    /// Returns all keys.
    pub fn list(&self) -> &[Key] {
        &self.keys
    }

    /// Finds the entry of a key that a caller sent.
    pub(crate) fn owner(&self, key: &str) -> Option<&Key> {
        let given = hash(key);
        // Hashes are compared in constant time.
        self.keys.iter().find(|kept| blake3::Hash::from_hex(&kept.hash).is_ok_and(|hash| hash == given))
    }

    fn write(&self) -> Result<(), KeysError> {
        let failed = |source| KeysError::Io { path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(&self.keys).map_err(|error| failed(error.into()))?;
        let fresh = self.path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&fresh, &self.path)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_opens_until_it_is_taken_back_and_is_kept_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let mut keys = Keys::read(&path).unwrap();
        let key = keys.add("phone", Role::Write).unwrap();
        assert!(keys.add("phone", Role::Read).is_err(), "one key a name");
        assert!(keys.add("a\nb", Role::Read).is_err());
        let kept = fs::read_to_string(&path).unwrap();
        assert!(!kept.contains(&key) && !kept.contains(&key[PREFIX.len()..]), "{kept}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut keys = Keys::read(&path).unwrap();
        assert_eq!(keys.owner(&key).map(|key| key.role), Some(Role::Write));
        assert_eq!(keys.owner(&format!("{key}x")), None);
        assert_eq!(keys.owner(""), None);
        keys.remove("phone").unwrap();
        assert_eq!(Keys::read(&path).unwrap().owner(&key), None);
        assert!(keys.remove("phone").is_err());
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Keys::read(&path), Err(KeysError::Damaged { .. })));
    }

    #[test]
    fn an_admin_may_what_a_writer_may() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
    }
}

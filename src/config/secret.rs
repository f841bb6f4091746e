//! A setting that may hold a password.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// An address that may hold a user and a password. It is displayed and serialised without them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the address with its password, for the client that connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Tells whether the setting is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&veiled(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns scheme and hosts of an address, for display. User, password, path and options may be secret. Everything
/// before an `@` is removed, and a text without a scheme is not shown at all. Neither is a text whose scheme may be a
/// user and the first part of a password.
fn veiled(address: &str) -> String {
    let plain = |scheme: &str| scheme.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c));
    let Some((scheme, rest)) = address.split_once("://").filter(|(scheme, _)| plain(scheme)) else {
        return if address.is_empty() { String::new() } else { String::from("***") };
    };
    // A password may contain `/`, `?` and even `@` if somebody forgot to escape it, so the last `@` counts as its end.
    let (hidden, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let hosts = rest.split(['/', '?']).next().unwrap_or_default();
    format!("{scheme}://{hidden}{hosts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (address, shown) in [
            ("", ""),
            ("mongodb://h1:1,h2:2/?replicaSet=rs0", "mongodb://h1:1,h2:2"),
            ("mongodb+srv://me:pass@cluster.example/db?w=majority", "mongodb+srv://***@cluster.example"),
            ("redis://:p/a@s?s@host:6379/0", "redis://***@host:6379"),
            ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:pass", "mongodb://h"),
            ("pass", "***"),
            ("me:pass://word@host/db", "***"),
        ] {
            let secret = Secret::from(address);
            for text in [secret.to_string(), format!("{secret:?}"), serde_json::to_string(&secret).unwrap()] {
                assert!(text.contains(shown) && !text.contains("pass"), "{address} is shown as {text}");
            }
            assert_eq!(secret.to_string(), shown);
        }
    }
}

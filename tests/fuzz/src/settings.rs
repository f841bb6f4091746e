//! Settings from a file and from the environment: a value has its setting's kind, a password is never shown, and valid settings
//! are written and read back the same.

use std::fs;
use std::path::Path;

use muster_config::{Layers, Origin};
use toml::Value;

/// Settings that may hold a password.
const SECRETS: [&str; 3] = ["mongo.gallery_images", "mongo.huemn", "redis.url"];
/// Ends the file; below it are variables.
const ENVIRONMENT: &str = "\n--- environment\n";

/// An address as it may be shown: a scheme and hosts.
fn veiled(shown: &str) {
    if let Some((scheme, hosts)) = shown.split_once("://") {
        assert!(scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)), "{shown}");
        assert!(!hosts.strip_prefix("***@").unwrap_or(hosts).contains(['@', '/', '?']), "{shown}");
    } else {
        assert!(shown.is_empty() || shown == "***", "{shown}");
    }
}

fn from_file(path: &Path, text: &str) -> Option<Layers> {
    fs::write(path, text).expect("a file");
    let mut layers = Layers::defaults();
    match layers.file(path) {
        Ok(()) => Some(layers),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// Bytes as a settings file, a line, and variables.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, variables) = text.split_once(ENVIRONMENT).unwrap_or((&text, ""));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("muster.toml");
    let mut layers = from_file(&path, file).unwrap_or_else(Layers::defaults);
    // A NUL ends a variable, as a line may be part of one.
    let pairs = variables.split('\0').filter_map(|line| line.split_once('='));
    for (name, value) in pairs.map(|(name, value)| (name.to_owned(), value.to_owned())) {
        if let Err(error) = layers.environment([(name.clone(), value.clone())].into_iter()) {
            assert!(error.to_string().contains(&name), "{error}");
            continue;
        }
        let set = layers.iter().find(|(.., origin)| **origin == Origin::Environment(name.clone()));
        if let Some((key, shown, _)) = set.filter(|(_, shown, _)| !shown.is_str()) {
            assert!(!value.trim().contains('\n'), "{key} is {shown} by {value:?}: the rest is lost");
        }
    }
    for ((key, value, _), (known, default, _)) in layers.iter().zip(Layers::defaults().iter()) {
        assert!(key == known && value.same_type(&default), "{key} is {value}");
        if let (true, Value::String(shown)) = (SECRETS.contains(&key), &value) {
            veiled(shown);
        }
    }
    match layers.settings() {
        Ok(settings) => {
            assert_eq!(settings.faults(), Vec::<String>::new());
            let written = toml::to_string(&settings).expect("settings can be written");
            let again = from_file(&path, &written).unwrap_or_else(|| panic!("cannot be read back:\n{written}"));
            let again = again.settings().unwrap_or_else(|error| panic!("{error}:\n{written}"));
            assert_eq!(toml::to_string(&again).expect("settings can be written"), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

//! Layers of settings, weakest first: defaults, a file, the environment, flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::fleet::{NAMES, SECRETS};
use super::{Secret, Settings};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {error}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A key nobody knows, or a value of the wrong kind.
    #[error("{key} (from {origin}): {fault}; `muster config` lists every setting")]
    BadKey {
        /// The dotted key.
        key: String,
        /// Who set it.
        origin: Origin,
        /// What is wrong.
        fault: String,
    },
    /// Values out of range.
    #[error("settings are not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// Every value with its origin, by dotted key.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    path: Option<PathBuf>,
}

impl Layers {
    /// The built-in defaults: `config/default.toml`.
    pub fn defaults() -> Self {
        let table: Table = include_str!("../../config/default.toml").parse().unwrap_or_default();
        let mut values = BTreeMap::new();
        for (section, keys) in table {
            for (key, value) in keys.as_table().cloned().unwrap_or_default() {
                values.insert(format!("{section}.{key}"), (value, Origin::Default));
            }
        }
        Self { values, path: None }
    }

    /// Adds a settings file.
    pub fn file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::Unreadable { path: path.to_owned(), error })?;
        let table: Table =
            text.parse().map_err(|error| SettingsError::Syntax { path: path.to_owned(), error: Box::new(error) })?;
        self.path = Some(path.to_owned());
        let origin = Origin::File(path.to_owned());
        for (section, keys) in table {
            match keys {
                Value::Table(keys) => {
                    for (key, value) in keys {
                        self.set(&format!("{section}.{key}"), value, origin.clone())?;
                    }
                }
                value => self.set(&section, value, origin.clone())?,
            }
        }
        Ok(())
    }

    /// The settings file that was read.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Adds variables named `MUSTER_<SECTION>__<KEY>`, and those of the Python service; others are not ours. Where both
    /// names are set, muster's own wins; an empty variable of the Python service is as good as none.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), SettingsError> {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for (name, text) in variables {
            if let Some((section, key)) = name.strip_prefix("MUSTER_").and_then(|rest| rest.split_once("__")) {
                ours.push((format!("{}.{}", section.to_lowercase(), key.to_lowercase()), name, text));
            } else if let Some((_, key)) = NAMES.iter().find(|(known, _)| *known == name && !text.is_empty()) {
                theirs.push(((*key).to_owned(), name, text));
            }
        }
        for (key, name, text) in theirs.into_iter().chain(ours) {
            let origin = Origin::Environment(name);
            let value = match self.values.get(&key) {
                Some((Value::String(_), _)) => Value::String(text),
                // The whole text is one value: a second line would be lost.
                _ => text.trim().parse().unwrap_or(Value::String(text)),
            };
            self.set(&key, value, origin)?;
        }
        Ok(())
    }

    /// Sets one value; the key must exist and the kind must fit (an integer fits a fraction).
    pub fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), SettingsError> {
        let bad = |origin, fault: String| SettingsError::BadKey { key: key.to_owned(), origin, fault };
        let Some((known, _)) = self.values.get(key) else {
            return Err(bad(origin, "there is no such setting".into()));
        };
        let value = match (known, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (known, value) if known.same_type(&value) => value,
            (known, value) => {
                let fault = format!("wants {}, not {}", known.type_str(), value.type_str());
                return Err(bad(origin, fault));
            }
        };
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    /// Every key with its value and origin, in order. Passwords are veiled.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value, &Origin)> {
        self.values.iter().map(|(key, (value, origin))| {
            let value = match value {
                Value::String(text) if SECRETS.contains(&key.as_str()) => {
                    Value::String(Secret::from(text.as_str()).to_string())
                }
                value => value.clone(),
            };
            (key.as_str(), value, origin)
        })
    }

    /// The validated settings.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let mut table = Table::new();
        for (key, (value, _)) in &self.values {
            if let Some((section, key)) = key.split_once('.')
                && let Value::Table(keys) = table.entry(section).or_insert_with(|| Value::Table(Table::new()))
            {
                keys.insert(key.to_owned(), value.clone());
            }
        }
        let settings: Settings =
            table.try_into().map_err(|error: toml::de::Error| SettingsError::Invalid(vec![error.message().into()]))?;
        match settings.faults() {
            faults if faults.is_empty() => Ok(settings),
            faults => Err(SettingsError::Invalid(faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> std::vec::IntoIter<(String, String)> {
        vec![(name.to_owned(), value.to_owned())].into_iter()
    }

    #[test]
    fn a_stronger_layer_wins_and_keeps_its_origin() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("muster.toml");
        std::fs::write(&file, "[pipeline]\nbatch = 7\ncredits = 9\n").unwrap();
        let mut layers = Layers::defaults();
        layers.file(&file).unwrap();
        layers.environment(variable("MUSTER_PIPELINE__BATCH", "8")).unwrap();
        let settings = layers.settings().unwrap();
        assert_eq!((settings.pipeline.batch, settings.pipeline.credits), (8, 9));
        let origin = |wanted| layers.iter().find(|(key, ..)| *key == wanted).unwrap().2.clone();
        assert_eq!(origin("pipeline.batch"), Origin::Environment("MUSTER_PIPELINE__BATCH".into()));
        assert_eq!(origin("pipeline.credits"), Origin::File(file));
        assert_eq!(origin("pipeline.decoders"), Origin::Default);
    }

    #[test]
    fn a_mistake_names_its_key_and_its_origin() {
        let table = [
            ("MUSTER_PIPELINE__BACH", "8", "pipeline.bach (from environment MUSTER_PIPELINE__BACH): there is no such"),
            ("MUSTER_PIPELINE__BATCH", "many", "wants integer, not string"),
            ("MUSTER_PIPELINE__BATCH", "8\ncredits = 1", "wants integer, not string"),
        ];
        for (name, value, message) in table {
            let error = Layers::defaults().environment(variable(name, value)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let mut layers = Layers::defaults();
        layers.environment(variable("MUSTER_PREFILTER__THRESHOLD", "2")).unwrap();
        let error = layers.settings().unwrap_err().to_string();
        assert!(error.contains("prefilter.threshold is 2, allowed is 0 to 1"), "{error}");
    }

    #[test]
    fn a_whole_number_fits_a_fraction_and_text_needs_no_quotes() {
        let mut layers = Layers::defaults();
        layers.environment(variable("MUSTER_GROUPING__THRESHOLD", "1")).unwrap();
        layers.environment(variable("MUSTER_MODELS__PACK", "edgeface")).unwrap();
        let settings = layers.settings().unwrap();
        assert_eq!((settings.grouping.threshold, settings.models.pack.as_str()), (1.0, "edgeface"));
    }
}

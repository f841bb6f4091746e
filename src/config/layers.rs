//! Layers of settings, the weakest first: defaults, a file, the environment, flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::fleet::{NAMES, SECRETS};
use super::{Secret, Settings};

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The defaults that are built in.
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

/// The reason why there are no valid settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}: {error}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {error}")]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// Place and cause of the error.
        error: Box<toml::de::Error>,
    },
    /// A key is unknown, or a value has the wrong kind.
    #[error("{key} (from {origin}): {fault}; `muster config` lists every setting")]
    BadKey {
        /// Key with its section, such as `pipeline.batch`.
        key: String,
        /// Origin of the value.
        origin: Origin,
        /// Description of the fault.
        fault: String,
    },
    /// Values are out of range; one sentence for each.
    #[error("settings are not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// All values with their origins, by key.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    path: Option<PathBuf>,
}

impl Layers {
    /// Returns the defaults that are built in, from `config/default.toml`.
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

    /// Adds the values of a settings file.
    ///
    /// # Errors
    /// [`SettingsError::Unreadable`] or [`SettingsError::Syntax`] when the file cannot be read;
    /// [`SettingsError::BadKey`] when it has an unknown key or a value of the wrong kind.
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

    /// Returns the path of the settings file that was read.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Adds environment variables named `MUSTER_<SECTION>__<KEY>`, and those of the Python service; other variables are
    /// ignored. If both names are set, muster's own wins. An empty variable of the Python service counts as not set.
    ///
    /// # Errors
    /// [`SettingsError::BadKey`] when a variable names an unknown key, or has a value of the wrong kind.
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
                // The whole text is parsed as one value, because a second line would otherwise be lost.
                _ => text.trim().parse().unwrap_or(Value::String(text)),
            };
            self.set(&key, value, origin)?;
        }
        Ok(())
    }

    /// Sets one value. The key must exist, and the value must have its kind (an integer is valid for a fraction).
    ///
    /// # Errors
    /// [`SettingsError::BadKey`] otherwise.
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

    /// Returns every key with its value and origin, in the order of keys. Passwords are hidden.
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

    /// Returns the settings after they were validated.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] when values are out of range or do not fit together.
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

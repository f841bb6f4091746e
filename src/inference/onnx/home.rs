//! Finds the folders of models and of the runtime library.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// muster's data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// The error that no data folder is known, because no variable names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no data folder: set MUSTER_HOME to a folder that muster may write models to")]
pub struct NoHome;

impl Home {
    /// Creates a data folder at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Finds the data folder: `$MUSTER_HOME`, otherwise `$XDG_DATA_HOME/muster`, otherwise
    /// `~/.local/share/muster`.
    ///
    /// # Errors
    /// [`NoHome`] when none of the variables is set.
    pub fn from_env() -> Result<Self, NoHome> {
        Self::find(|name| std::env::var_os(name))
    }

    fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NoHome> {
        let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        folder("MUSTER_HOME")
            .or_else(|| folder("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("muster")))
            .or_else(|| folder("HOME").map(|path| path.join(".local/share/muster")))
            .map(Self::new)
            .ok_or(NoHome)
    }

    /// Returns the data folder.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// Returns the folder that holds one folder for each model pack.
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Returns the folder of TensorRT's compiled engines.
    pub fn engines(&self) -> PathBuf {
        self.root.join("engines")
    }

    /// Returns the folder that holds one folder for each build of ONNX Runtime.
    pub fn runtimes(&self) -> PathBuf {
        self.root.join("runtime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_set_variable_wins() {
        type Row = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let table: [Row; 6] = [
            (&[("MUSTER_HOME", "/m"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/m")),
            (&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/x/muster")),
            (&[("MUSTER_HOME", ""), ("XDG_DATA_HOME", ""), ("HOME", "/h")], Some("/h/.local/share/muster")),
            // The XDG specification: a relative path is to be ignored.
            (&[("XDG_DATA_HOME", "x"), ("HOME", "/h")], Some("/h/.local/share/muster")),
            (&[("HOME", "")], None),
            (&[], None),
        ];
        for (variables, expected) in table {
            let found = Home::find(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()));
            assert_eq!(found, expected.map(Home::new).ok_or(NoHome), "{variables:?}");
        }
    }
}

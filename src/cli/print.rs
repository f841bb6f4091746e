//! Writes results to standard output, or to a file.

use std::io::{self, Write};
use std::path::Path;

use super::CliError;
use super::models::ModelsError;

/// Writes to standard output. A reader that has seen enough (`| head`) is no fault.
pub fn print(write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>) -> Result<(), CliError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    quiet(write(&mut out).and_then(|()| Ok(out.flush()?)))
}

/// A line for a person on standard error. Where nobody reads it any more, the work goes on.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// As [`print()`], each line at once.
pub fn print_lines(write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>) -> Result<(), CliError> {
    quiet(write(&mut io::stdout().lock()))
}

fn quiet(result: Result<(), CliError>) -> Result<(), CliError> {
    match result {
        Err(CliError::Io(error) | CliError::Models(ModelsError::Print(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Writes a file beside its place and moves it there, so that it is whole or not there; or to standard
/// output where there is no place.
pub fn output(
    place: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let Some(place) = place else { return print(write) };
    let name = place.file_name().ok_or_else(|| CliError::Usage(format!("{} is not a file name", place.display())))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let part = place.with_file_name(beside);
    let run = || {
        let mut out = io::BufWriter::new(
            std::fs::File::create(&part).map_err(|source| CliError::File { path: part.clone(), source })?,
        );
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(std::fs::rename(&part, place)?)
    };
    let result = run();
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.csv");
        assert!(output(Some(&place), |_| Err(CliError::Usage("no".into()))).is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        output(Some(&place), |out| Ok(out.write_all(b"yes")?)).unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"yes");
    }
}

//! One writer at a time: an advisory lock on a file that says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::LibraryError;

/// Name of the file inside a library folder.
pub(crate) const NAME: &str = "writer.lock";

/// The right to write to a library. Ends with the value, or with the process however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: File,
    interrupted: bool,
}

impl WriterLock {
    /// Takes the lock of a library folder, or says who has it.
    pub fn take(folder: &Path) -> Result<Self, LibraryError> {
        let path = folder.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| LibraryError::io(&path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.take(32).read_to_string(&mut text);
                return Err(LibraryError::Locked { folder: folder.to_path_buf(), holder: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(e)) => return Err(LibraryError::io(&path, &e)),
        }
        // Who ends in good order leaves the file empty.
        let interrupted = file.metadata().is_ok_and(|file| file.len() > 0);
        // Only a help to people: the lock holds whether or not its holder could be written.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file, interrupted })
    }

    /// Whether the last writer was killed, or died.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // A file that cannot be emptied costs the next writer some care, nothing else.
        let _ = self.file.set_len(0);
        // A child process that was forked and has not begun its program yet still has the file open, so closing it
        // here would keep the lock until then.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_hears_who_the_first_is_and_gets_in_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = WriterLock::take(folder.path()).unwrap();
        match WriterLock::take(folder.path()) {
            Err(LibraryError::Locked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!WriterLock::take(folder.path()).unwrap().interrupted());
    }

    #[test]
    fn a_writer_that_ended_holds_nothing_while_a_child_still_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let first = WriterLock::take(folder.path()).unwrap();
        let of_a_child = first.file.try_clone().unwrap();
        drop(first);
        assert!(WriterLock::take(folder.path()).is_ok());
        drop(of_a_child);
    }

    #[test]
    fn a_writer_that_died_is_told_from_one_that_ended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "4711\n").unwrap();
        assert!(WriterLock::take(folder.path()).unwrap().interrupted());
        assert!(!WriterLock::take(folder.path()).unwrap().interrupted());
    }
}

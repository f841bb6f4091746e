//! The version of a local file's bytes, which the queue compares and the store keeps as etag.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

/// Returns the version `size-mtime`: bytes, and nanoseconds since 1970 (negative before).
pub(super) fn file_version(metadata: &Metadata) -> String {
    let nanoseconds = match metadata.modified() {
        Err(_) => 0,
        Ok(time) => match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |n| -n),
        },
    };
    format!("{}-{nanoseconds}", metadata.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn holds_size_and_time_even_before_1970() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(12).unwrap();
        file.set_modified(std::time::UNIX_EPOCH - Duration::from_nanos(5)).unwrap();
        assert_eq!(super::file_version(&file.metadata().unwrap()), "12--5");
        file.set_modified(std::time::UNIX_EPOCH + Duration::new(1, 7)).unwrap();
        assert_eq!(super::file_version(&file.metadata().unwrap()), "12-1000000007");
    }
}

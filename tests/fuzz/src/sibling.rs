//! Patterns of thumbnails' keys: the thumbnail of every image is known as one.

use muster_actors::domain::sibling::Sibling;

/// A line with a pattern, and the key of an image.
pub fn sibling(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, key) = text.split_once('\n').unwrap_or((&text, "wedding/IMG 1.jpg"));
    let Ok(sibling) = pattern.parse::<Sibling>() else { return };
    let thumbnail = sibling.of(key);
    assert_eq!(thumbnail, sibling.of(key));
    // An image whose name has no stem, and a folder without a name, are nobody's.
    let (folder, name) = key.rsplit_once('/').map_or((None, key), |(folder, name)| (Some(folder), name));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if !stem.is_empty() && folder != Some("") {
        assert!(sibling.is_one(&thumbnail), "{pattern:?} makes {thumbnail:?} of {key:?}");
    }
}

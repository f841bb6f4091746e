//! Where the thumbnail of an image lies, when somebody else has made one beside it. Pure.

use std::str::FromStr;

/// A piece of the key of a thumbnail.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The image's whole key.
    Key,
    /// Its folder, without the last slash.
    Folder,
    /// Its last part.
    Name,
    /// Its last part without the extension.
    Stem,
}

/// How the key of a thumbnail follows from the key of its image: `thumbnails/{key}`, `{folder}/thumbs/{stem}.jpg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling(Vec<Piece>);

/// Why a text is no pattern of thumbnails' keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiblingError {
    /// Braces around something else.
    #[error("{{{0}}} is none of {{key}}, {{folder}}, {{name}}, {{stem}}")]
    Unknown(String),
    /// A brace without its other.
    #[error("a brace is not closed")]
    Open,
    /// All images would have one thumbnail, or each would be its own.
    #[error("it must hold {{key}}, {{name}} or {{stem}}, and text that the keys of images do not have")]
    Same,
}

impl FromStr for Sibling {
    type Err = SiblingError;

    fn from_str(text: &str) -> Result<Self, SiblingError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}').ok_or(SiblingError::Open)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match field {
                "key" => Piece::Key,
                "folder" => Piece::Folder,
                "name" => Piece::Name,
                "stem" => Piece::Stem,
                other => return Err(SiblingError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let names = pieces.iter().any(|piece| matches!(piece, Piece::Key | Piece::Name | Piece::Stem));
        let differs = pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(|c| c != '/')));
        if names && differs { Ok(Self(pieces)) } else { Err(SiblingError::Same) }
    }
}

impl Sibling {
    /// The key of the thumbnail of the image at `key`.
    pub fn of(&self, key: &str) -> String {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Key => key.to_owned(),
            Piece::Folder => folder.to_owned(),
            Piece::Name => name.to_owned(),
            Piece::Stem => stem.to_owned(),
        };
        let all: String = self.0.iter().map(text).collect();
        // An image at the top has no folder.
        if folder.is_empty() && self.0.first() == Some(&Piece::Folder) {
            return all.trim_start_matches('/').to_owned();
        }
        all
    }

    /// Whether `key` is the key of a thumbnail of some image.
    pub fn is_one(&self, key: &str) -> bool {
        is(&self.0, key) || (self.0.contains(&Piece::Folder) && is(&self.at_top(), key))
    }

    /// The pieces where the image lies at the top and has no folder.
    fn at_top(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = self.0.iter().filter(|piece| **piece != Piece::Folder).cloned().collect();
        if self.0.first() == Some(&Piece::Folder) {
            while let Some(Piece::Text(text)) = pieces.first_mut() {
                text.drain(..text.len() - text.trim_start_matches('/').len());
                if !text.is_empty() {
                    break;
                }
                pieces.remove(0);
            }
        }
        pieces
    }
}

/// Whether a key is made of these pieces. Which parts of it have been accounted for is known for every piece at once, so a hostile
/// key costs no more than its length times theirs.
fn is(pieces: &[Piece], key: &str) -> bool {
    let bytes = key.as_bytes();
    let mut reached = vec![false; bytes.len() + 1];
    reached[0] = true;
    for piece in pieces {
        let mut next = vec![false; bytes.len() + 1];
        let mut within = false;
        for at in 0..=bytes.len() {
            if let (true, Piece::Text(text)) = (reached[at], piece) {
                if bytes[at..].starts_with(text.as_bytes()) {
                    next[at + text.len()] = true;
                }
                continue;
            }
            next[at] |= within;
            within |= reached[at];
            // A name ends at a slash; a folder and a key go on.
            within &= !matches!(piece, Piece::Text(_));
            within &= bytes.get(at) != Some(&b'/') || matches!(piece, Piece::Key | Piece::Folder);
        }
        reached = next;
    }
    reached[bytes.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_thumbnail_follows_from_its_images() {
        for (pattern, key, thumbnail) in [
            ("thumbnails/{key}", "wedding/a b.JPG", "thumbnails/wedding/a b.JPG"),
            ("{folder}/thumbs/{stem}.jpg", "a/b/c.tar.png", "a/b/thumbs/c.tar.jpg"),
            ("{folder}/thumbs/{stem}.jpg", "c.png", "thumbs/c.jpg"),
            ("{folder}/thumb_{name}", "a/c.png", "a/thumb_c.png"),
            ("{key}_small", "no extension", "no extension_small"),
            ("{folder}/thumb_{name}", "c.png", "thumb_c.png"),
            ("t/{folder}/{stem}/{name}", "a/b/c.png", "t/a/b/c/c.png"),
            ("t/{folder}/{stem}.jpg", "c.png", "t//c.jpg"),
            ("{folder}{stem}_t", "c", "c_t"),
            ("{folder}/{folder}/t_{name}", "c.png", "t_c.png"),
        ] {
            let sibling: Sibling = pattern.parse().unwrap();
            assert_eq!(sibling.of(key), thumbnail, "{pattern}");
            assert!(
                sibling.is_one(thumbnail) && !sibling.is_one(key),
                "{pattern}: {thumbnail} is one and {key} is none"
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_thumbnail_at_one_end_is_none() {
        for (pattern, key) in [
            ("thumbnails/{key}", "my/thumbnails/a.jpg"),
            ("{folder}/{stem}_t.jpg", "a/b_t.jpg.png"),
            ("t/{stem}.jpg", "t/a.png"),
            ("t/{stem}.jpg", "u/a.jpg"),
            ("{folder}/thumbs/{stem}.jpg", "trip/bigthumbs/a.jpg"),
            ("{folder}/thumbs/{stem}.jpg", "bigthumbs/a.jpg"),
            ("{folder}/thumbs/{stem}.jpg", "trip/thumbs/2020/a.jpg"),
            ("{folder}/thumbs/{stem}.jpg", "trip/thumbs/.jpg"),
            ("{folder}/thumb_{name}", "a/mythumb_b.png"),
            ("{folder}/thumb_{name}", "a/thumb_old/b.png"),
            ("{folder}/thumb_{name}", "mythumb_b.png"),
        ] {
            assert!(!pattern.parse::<Sibling>().unwrap().is_one(key), "{pattern} {key}");
        }
    }

    #[test]
    fn a_pattern_that_names_no_image_or_the_image_itself_is_refused() {
        for (pattern, error) in [
            ("", SiblingError::Same),
            ("{key}", SiblingError::Same),
            ("{folder}/{name}", SiblingError::Same),
            ("thumbnail.jpg", SiblingError::Same),
            ("{folder}/thumbnail.jpg", SiblingError::Same),
            ("t/{keys}", SiblingError::Unknown("keys".to_owned())),
            ("t/{key", SiblingError::Open),
        ] {
            assert_eq!(pattern.parse::<Sibling>(), Err(error), "{pattern}");
        }
    }
}

//! Keys of photos and ids, as a library, a queue or a person names them: no key leads out of its folder, and each text is one id.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use muster_actors::domain::image::ImageId;
use muster_library::PathMap;
use muster_library::key::{HERE, ROOT, decode, encode, shown};

fn inside(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    !bytes.contains(&0) && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Bytes as a key, as a path and as an id.
pub fn key(data: &[u8]) {
    let path = Path::new(OsStr::from_bytes(data));
    if inside(path) {
        assert_eq!(decode(&encode(path)).as_deref(), Ok(path));
    }
    let text = String::from_utf8_lossy(data);
    let places = PathMap::new("/home/me/photos");
    match decode(&text) {
        Ok(path) => {
            assert!(inside(&path), "{path:?}");
            assert_eq!(decode(&encode(&path)).as_ref(), Ok(&path));
            for bucket in [HERE, ROOT] {
                let photo = places.path(bucket, &text).expect("it was decoded");
                assert!(bucket == ROOT || photo.starts_with(places.base()), "{photo:?}");
                let locator = places.locate(&photo);
                assert_eq!(places.path(&locator.bucket, &locator.key), Ok(photo));
            }
        }
        Err(_) => assert!(places.path(HERE, &text).is_err()),
    }
    assert!(places.path(&text, "a.jpg").is_err() || [HERE, ROOT].contains(&&*text));
    assert!(!shown(ROOT, &text).is_empty() && !shown(HERE, &text).is_empty());
    if let Ok(id) = text.parse::<ImageId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
}

//! Labels from folders that hold one person's photos each.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::image::ImageId;

/// Returns the face with the largest box in each image, and of several equal ones the first. In a
/// person's folder it is the person's face; the other faces are of unknown people.
pub fn largest_faces(faces: impl IntoIterator<Item = (ImageId, FaceId, BBox)>) -> HashMap<ImageId, FaceId> {
    let mut largest: HashMap<ImageId, (f32, FaceId)> = HashMap::new();
    for (image, face, bbox) in faces {
        let area = bbox.width * bbox.height;
        let best = largest.entry(image).or_insert((area, face));
        if area > best.0 {
            *best = (area, face);
        }
    }
    largest.into_iter().map(|(image, (_, face))| (image, face)).collect()
}

/// Returns the name of the person's folder in `photos` in which a photo lies; `None` for a photo
/// that lies beside these folders, or elsewhere.
pub fn person_folder<'a>(photos: &Path, photo: &'a Path) -> Option<&'a OsStr> {
    let mut parts = photo.strip_prefix(photos).ok()?.components();
    let folder = parts.next()?;
    parts.next().is_some().then_some(folder.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_below_the_photos_is_the_person() {
        let photos = Path::new("/photos");
        let folder =
            |path: &'static str| person_folder(photos, Path::new(path)).and_then(OsStr::to_str).map(str::to_owned);
        assert_eq!(folder("/photos/Ada/1.jpg").as_deref(), Some("Ada"));
        assert_eq!(folder("/photos/Ada/2024/1.jpg").as_deref(), Some("Ada"));
        assert_eq!(folder("/photos/1.jpg"), None);
        assert_eq!(folder("/elsewhere/Ada/1.jpg"), None);
    }

    #[test]
    fn the_largest_face_of_a_photo_is_the_person() {
        let face = |image: u8, id: u8, width: f32| {
            (ImageId([image; 16]), FaceId([id; 16]), BBox { x: 0.0, y: 0.0, width, height: 10.0 })
        };
        let largest = largest_faces([face(1, 1, 20.0), face(1, 2, 30.0), face(1, 3, 30.0), face(2, 4, 1.0)]);
        assert_eq!(largest[&ImageId([1; 16])], FaceId([2; 16]));
        assert_eq!(largest[&ImageId([2; 16])], FaceId([4; 16]));
        assert_eq!(largest.len(), 2);
    }
}

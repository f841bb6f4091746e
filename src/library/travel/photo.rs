//! A photo of a library as XMP knows it.

use std::path::{Path, PathBuf};

use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::image::ImageId;
use muster_gallery::ENROLLED;
use muster_gallery::view::ImageRow;
use muster_xmp::{Orientation, Size, UprightBox};
use rusqlite::{Connection, params};

use crate::key::PathMap;
use crate::{LibraryError, rows, view};

/// A face of a photo.
pub(super) struct PhotoFace {
    pub(super) id: FaceId,
    pub(super) bbox: BBox,
    pub(super) name: Option<String>,
}

/// A photo with its faces.
pub(super) struct Photo {
    pub(super) row: i64,
    pub(super) id: ImageId,
    pub(super) path: PathBuf,
    pub(super) shown: String,
    pub(super) upright: Size,
    pub(super) orientation: Orientation,
    pub(super) faces: Vec<PhotoFace>,
}

impl Photo {
    /// The sidecar file of a photo: `photo.jpg.xmp`.
    pub(super) fn sidecar(path: &Path) -> PathBuf {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".xmp");
        path.with_file_name(name)
    }
}

/// The box of a face in pixels of the upright photo.
pub(super) fn upright_box(bbox: &BBox) -> UprightBox {
    UprightBox {
        x: f64::from(bbox.x),
        y: f64::from(bbox.y),
        width: f64::from(bbox.width),
        height: f64::from(bbox.height),
    }
}

/// All photos that were decoded and lie in a folder, by path.
pub(super) fn photos(db: &Connection, places: &PathMap) -> Result<Vec<Photo>, LibraryError> {
    let mut images: Vec<ImageRow> = Vec::new();
    view::images(db, |image| {
        images.push(image);
        Ok(())
    })?;
    let mut faces_of = db.prepare(&format!(
        "SELECT f.id, f.bbox, g.name, i.n FROM images i LEFT JOIN faces f ON f.image = i.n AND {} \
         LEFT JOIN members m ON m.gallery = f.gallery AND m.face = f.id \
         LEFT JOIN groups g ON g.gallery = m.gallery AND g.id = m.grp WHERE i.id = ?1 ORDER BY f.id",
        view::is_face()
    ))?;
    let mut photos = Vec::new();
    for image in images.into_iter().filter(|image| image.bucket != ENROLLED && image.width > 0 && image.height > 0) {
        let Ok(path) = places.path(&image.bucket, &image.key) else { continue };
        let (mut row, mut faces) = (0, Vec::new());
        let mut found = faces_of.query(params![image.id.0])?;
        while let Some(face) = found.next()? {
            row = face.get(3)?;
            if let Some(id) = rows::maybe_id(face, 0)? {
                faces.push(PhotoFace { id: FaceId(id), bbox: rows::bbox(face, 1)?, name: face.get(2)? });
            }
        }
        photos.push(Photo {
            row,
            id: image.id,
            path,
            shown: image.path,
            upright: Size { width: image.width, height: image.height },
            orientation: Orientation::from_exif(u32::from(image.orientation)),
            faces,
        });
    }
    Ok(photos)
}

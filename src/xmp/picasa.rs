//! Reads names from the `.picasa.ini` that Picasa keeps in each folder.

use std::collections::BTreeMap;

use crate::limits::{check_bytes, check_count};
use crate::name::clean_name;
use crate::{Region, XmpError};

/// Reads the faces of each photo of a folder, by the photo's file name.
///
/// A photo's section has `faces=rect64(…),contact;…`, and the section `[Contacts2]` has
/// `contact=name;;`. A face has no name if this file does not name its contact: Picasa also keeps
/// contacts in a file of the user's, and `ffffffffffffffff` means no person.
///
/// `rect64` is a hexadecimal number of 64 bits without its leading zeros: the left, top, right and
/// bottom edge, each of 16 bits, as shares of 65535. Picasa does not document this. The edges of
/// JPEG files are relative to the image as it is stored, before EXIF orientation. That is known
/// from measurements of others: the tests of picasa2digikam, which compare photos of the
/// orientations 3, 6 and 8 with hand-drawn boxes, and ExifTool's `picasa_faces.config`, which
/// copies the edges into MWG regions unturned except for raw files. Picasa's own `rotate=` does not
/// change them. For raw files, which muster does not read, Picasa writes them relative to the
/// upright image.
///
/// # Errors
/// [`XmpError::TooLarge`] when the file exceeds the limit; [`XmpError::TooManyRegions`] when one
/// photo has too many regions.
pub fn read_picasa_ini(bytes: &[u8]) -> Result<BTreeMap<String, Vec<Region>>, XmpError> {
    check_bytes(bytes.len())?;
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut contacts = BTreeMap::new();
    let mut faces: BTreeMap<String, Vec<(Region, &str)>> = BTreeMap::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=') {
            if section == "Contacts2" {
                let name = value.split(';').next().unwrap_or_default();
                contacts.insert(key.trim(), clean_name(name));
            } else if key.trim() == "faces" {
                let photo = faces.entry(section.to_owned()).or_default();
                photo.extend(value.split(';').filter_map(face));
                check_count(photo.len())?;
            }
        }
    }
    let named = |(region, contact): (Region, &str)| Region { name: contacts.get(contact).cloned().flatten(), ..region };
    Ok(faces.into_iter().map(|(photo, faces)| (photo, faces.into_iter().map(named).collect())).collect())
}

/// Reads `rect64(…),contact`.
fn face(text: &str) -> Option<(Region, &str)> {
    let (rectangle, contact) = text.trim().split_once(',')?;
    let digits = rectangle.strip_prefix("rect64(")?.strip_suffix(')')?;
    if digits.len() > 16 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let edges = u64::from_str_radix(digits, 16).ok()?;
    let edge = |number: u32| f64::from((edges >> (16 * number)) as u16) / 65535.0;
    let (left, top, right, bottom) = (edge(3), edge(2), edge(1), edge(0));
    let region = (left < right && top < bottom).then(|| Region::between(None, (left, top), (right, bottom)))??;
    Some((region, contact.trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FOLDER: &str = "\u{feff}[Picasa]\r\nname=Summer\r\n[Contacts2]\r\nd10a8325c557b085=Anna Łoś;;\r\n\
        8e62398ebda8c1a5=Bo;bo@example.org;\r\n[IMG_1.JPG]\r\nstar=yes\r\n\
        faces=rect64(4000800080 00c000),d10a8325c557b085;rect64(40008000c000ffff),d10a8325c557b085;\
        rect64(4a8e8e6b),8e62398ebda8c1a5;rect64(0000000010001000),ffffffffffffffff\r\nrotate=rotate(1)\r\n\
        [second one.jpg]\r\nfaces=rect64(8000000040001000),d10a8325c557b085\r\n[third.jpg]\r\nstar=yes\r\n";

    #[test]
    fn faces_have_the_names_of_their_contacts() {
        let found = read_picasa_ini(FOLDER.as_bytes()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["IMG_1.JPG", "second one.jpg"]);
        let faces = &found["IMG_1.JPG"];
        let names: Vec<_> = faces.iter().map(|face| face.name.as_deref()).collect();
        assert_eq!(names, [Some("Anna Łoś"), Some("Bo"), None]);
        // 0x4000 is a quarter, 0x8000 a half and 0xc000 three quarters, to a 65535th.
        let anna = &faces[0];
        for (got, right) in [(anna.x, 0.5), (anna.y, 0.75), (anna.w, 0.5), (anna.h, 0.5)] {
            assert!((got - right).abs() < 1e-4, "{anna:?}");
        }
        // Without its leading zeros: the face begins in the corner.
        let bo = &faces[1];
        assert_eq!((bo.left(), bo.top()), (0.0, 0.0));
        assert!((bo.w - f64::from(0x4a8e) / 65535.0).abs() < 1e-12);
        // Left of its own left edge.
        assert!(found["second one.jpg"].is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_picasa_ini(&bytes);
        }

        #[test]
        fn damaged_folders_are_read_or_refused(at in 0..FOLDER.len(), byte: u8) {
            let mut bytes = FOLDER.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read_picasa_ini(&bytes);
        }
    }
}

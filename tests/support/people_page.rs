//! Libraries that are made up, and the pages of people that are written of them, as a browser reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, Group, GroupId, Partition, Reconciled};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator, RejectReason, Rejection};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::ports::faces::Commit;
use muster_gallery::LIBRARY_GALLERY;
use muster_library::{Library, groups, write};

/// What a library is made of: a photo a face.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Faces of each group.
    pub groups: Vec<usize>,
    /// Faces in no group.
    pub ungrouped: usize,
    /// Photos that could not be used.
    pub rejected: usize,
    /// Bytes of each crop.
    pub crop_bytes: usize,
}

/// Makes a library in `.muster` of a folder, with empty files as its photos. Returns it with its groups,
/// in the order of `contents`.
pub fn library(folder: &Path, contents: &Contents) -> (Library, Vec<GroupId>) {
    let mut library = Library::create(&folder.join(".muster")).unwrap();
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let mut partition = Partition::default();
    let mut ids = Vec::new();
    for (group, &faces) in contents.groups.iter().chain([&contents.ungrouped]).enumerate() {
        let keys: Vec<String> = (0..faces).map(|n| format!("{group}/a & b's {n}.jpg")).collect();
        std::fs::create_dir_all(folder.join(group.to_string())).unwrap();
        let mut members = Vec::with_capacity(faces);
        for keys in keys.chunks(2_000) {
            keys.iter().for_each(|key| std::fs::write(folder.join(key), "").unwrap());
            let photos: Vec<Commit> = keys.iter().map(|key| photo(key, contents.crop_bytes)).collect();
            members.extend(photos.iter().map(|photo| photo.faces[0].id));
            write::commit(library.db_mut(), &photos).unwrap().into_iter().for_each(|outcome| outcome.unwrap());
        }
        if group < contents.groups.len() {
            members.sort_unstable();
            let id = GroupId(members[0].0);
            ids.push(id);
            partition.groups.push(Group { id, cover: members[0], faces: members, centroid: vec![0.1; 2], name: None });
        }
    }
    let rejected: Vec<Commit> = (0..contents.rejected).map(|n| rejected(&format!("broken/{n}.jpg"))).collect();
    write::commit(library.db_mut(), &rejected).unwrap().into_iter().for_each(|outcome| outcome.unwrap());
    partition.groups.sort_by_key(|group| group.id);
    let read = groups::snapshot(library.db_mut(), &gallery).unwrap().version;
    groups::save(library.db_mut(), &gallery, read, &Reconciled { partition, ..Reconciled::default() }).unwrap();
    (library, ids)
}

/// A photo with one face.
fn photo(key: &str, crop_bytes: usize) -> Commit {
    let mut image = image(key);
    let bbox = BBox { x: 1.0, y: 1.0, width: 50.0, height: 50.0 };
    let id = FaceId::new(image.id, &image.model, &bbox);
    let quality = Quality { overall: 0.5 + f32::from(id.0[0]) / 512.0, ..Quality::default() }.with_face(1.0);
    let thumbnail = id.0.iter().copied().cycle().take(crop_bytes).collect();
    let (landmarks, embedding) = ([[1.0; 2]; 5], vec![0.6, 0.8]);
    let face = Face { id, image: image.id, bbox, landmarks, quality, embedding, thumbnail };
    (image.state, image.face_count) = (ImageState::Indexed, 1);
    Commit { image, faces: vec![face], content: None, version: ObjectVersion::default(), timings: Timings::default() }
}

/// A photo that could not be used.
pub fn rejected(key: &str) -> Commit {
    let mut image = image(key);
    image.state = ImageState::Rejected;
    image.rejection = Some(Rejection::new(RejectReason::Corrupt, "the bytes are <no> image & never were"));
    Commit { image, faces: Vec::new(), content: None, version: ObjectVersion::default(), timings: Timings::default() }
}

fn image(key: &str) -> ImageRecord {
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let locator = Locator { gallery, bucket: ".".to_owned(), key: key.to_owned() };
    ImageRecord {
        id: locator.id(),
        locator,
        etag: "e".to_owned(),
        bytes: 1,
        width: 1,
        height: 1,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::NoFaces,
        rejection: None,
        quality: None,
        face_count: 0,
        model: "m@1".to_owned(),
    }
}

/// A page that was written.
pub struct Page {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// All pages, from the first on, as the links to the next page lead.
pub fn pages(first: &Path) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let mut path = Some(first.to_path_buf());
    while let Some(next) = path {
        assert!(!pages.iter().any(|page| page.path == next), "{} leads in a circle", next.display());
        let page = Page { text: std::fs::read_to_string(&next).unwrap(), path: next };
        path = page.links("rel=\"next\" href=\"").into_iter().next();
        pages.push(page);
    }
    pages
}

impl Page {
    /// The files that links lead to which begin so.
    pub fn links(&self, beginning: &str) -> Vec<PathBuf> {
        let links = self.text.split(beginning).skip(1).map(|rest| rest.split('"').next().unwrap());
        links.filter(|link| !link.starts_with('#')).map(|link| self.file(link)).collect()
    }

    /// The file that a relative link leads to.
    fn file(&self, link: &str) -> PathBuf {
        let mut path = self.path.parent().unwrap().to_path_buf();
        for part in link.split('#').next().unwrap().split('/') {
            match part {
                ".." => assert!(path.pop(), "{link}"),
                part => path.push(decoded(part)),
            }
        }
        path
    }

    /// How often a text is in it.
    pub fn count(&self, text: &str) -> usize {
        self.text.matches(text).count()
    }
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Panics unless each page is below the limit, whole, offline and linked to the page before, all links
/// lead to files, and no other page lies beside them. Returns how often each photo is linked.
pub fn check(pages: &[Page], max_bytes: usize) -> BTreeMap<PathBuf, usize> {
    let mut photos = BTreeMap::new();
    for (n, page) in pages.iter().enumerate() {
        let name = page.path.display();
        assert!(page.text.len() < max_bytes, "{name} has {} bytes", page.text.len());
        for tag in ["details", "summary", "section", "figure", "div", "table", "tbody", "p", "nav", "main", "html"] {
            let begun = page.count(&format!("<{tag}>")) + page.count(&format!("<{tag} "));
            assert_eq!(begun, page.count(&format!("</{tag}>")), "{name}: {tag}");
        }
        assert!(page.text.ends_with("</body></html>\n"), "{name} is not whole");
        let images = page.count("<img ");
        assert_eq!(
            (page.count("<img src=\"data:image/jpeg;base64,"), page.count("loading=\"lazy\"")),
            (images, images)
        );
        assert_eq!((page.count("<script>"), page.count("<style>"), page.count("script-src 'sha256-")), (1, 1, 1));
        assert!(!page.text.contains("http:") && !page.text.contains("https:"), "{name}");
        for file in page.links(" href=\"") {
            assert!(file.is_file(), "{name} links to {}, which is not there", file.display());
        }
        let before: Vec<PathBuf> = n.checked_sub(1).into_iter().map(|n| pages[n].path.clone()).collect();
        let linked = page.links("rel=\"prev\" href=\"");
        assert!(linked.iter().all(|path| before.contains(path)) && linked.is_empty() == before.is_empty(), "{name}");
        for photo in page.links("class=\"photo\" href=\"") {
            *photos.entry(photo).or_default() += 1;
        }
    }
    let folder = pages[0].path.with_extension("");
    let further = std::fs::read_dir(folder).map_or(0, |entries| entries.count());
    assert_eq!(further, pages.len() - 1, "no other file lies beside the further pages");
    photos
}

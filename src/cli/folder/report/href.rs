//! Links of the page, percent-encoded: to photos, and from page to page.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use muster_library::report;

/// Links between the pages of one report.
pub(super) struct PageLinks {
    first: String,
    folder: String,
}

impl PageLinks {
    /// Of the report whose first page lies there.
    pub(super) fn new(page: &Path) -> Self {
        let encoded = |name: Option<&OsStr>| {
            let mut link = String::new();
            encode(&mut link, name.unwrap_or_default());
            link
        };
        Self { first: encoded(page.file_name()), folder: encoded(report::folder(page).file_name()) }
    }

    /// From one page to another.
    pub(super) fn link(&self, from: usize, to: usize) -> String {
        match (from, to) {
            (1, 1) => self.first.clone(),
            (1, _) => format!("{}/{to}.html", self.folder),
            (_, 1) => format!("../{}", self.first),
            _ => format!("{to}.html"),
        }
    }
}

/// A relative link between absolute paths.
pub(super) fn relative(from: &Path, to: &Path) -> String {
    let (a, b): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let mut link = "../".repeat(a.len() - shared);
    for (at, part) in b[shared..].iter().enumerate() {
        if at > 0 {
            link.push('/');
        }
        encode(&mut link, part.as_os_str());
    }
    link
}

fn encode(link: &mut String, name: &OsStr) {
    for &byte in name.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            link.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(link, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_page_to_the_photo() {
        for (from, to, link) in [
            ("/p/.muster", "/p/a b/c.jpg", "../a%20b/c.jpg"),
            ("/p/.muster", "/q/ü:.jpg", "../../q/%C3%BC%3A.jpg"),
            ("/p", "/p/javascript:alert(1).jpg", "javascript%3Aalert%281%29.jpg"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), link);
        }
    }

    #[test]
    fn links_lead_from_page_to_page() {
        let links = PageLinks::new(Path::new("/p/my people.html"));
        assert_eq!(links.link(1, 2), "my%20people/2.html");
        assert_eq!(links.link(2, 1), "../my%20people.html");
        assert_eq!(links.link(3, 2), "2.html");
    }
}

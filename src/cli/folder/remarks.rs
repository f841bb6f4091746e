//! Remarks after `muster index` that a person should know beside the figures.

use super::outcome::{IndexOutcome, SHOWN, short};
use crate::cli::text::{count, printable};
use muster_library::removals::{Missing, RemovalCause};
use muster_library::scan::EXTENSIONS;

impl IndexOutcome {
    /// The remarks, a line each.
    pub fn remarks(&self) -> String {
        [self.about_nothing(), self.about_kept_photos(), self.about_missing_photos(), self.about_libraries()].concat()
    }

    fn about_nothing(&self) -> String {
        if self.images > 0 || !self.missing.is_empty() {
            return String::new();
        }
        format!(
            "No photo was found: muster looks for files whose names end in {}, in the folders that were named and \
             below. {} of other kinds were passed over, and so were names that begin with a dot\n",
            EXTENSIONS.join(", "),
            count(self.ignored, "file")
        )
    }

    fn about_kept_photos(&self) -> String {
        if self.kept == 0 {
            return String::new();
        }
        let photos = count(self.kept, "image");
        format!("{photos} could not be read now; what is known of them was kept, and each run tries them again\n")
    }

    fn about_missing_photos(&self) -> String {
        let mut text = String::new();
        for Missing { root, missing, known, cause } in &self.missing {
            let root = short(&printable(root));
            let why = match cause {
                RemovalCause::RootMissing => format!("{root} is not there"),
                RemovalCause::NotMounted => format!("the disk of {root} is not mounted any more"),
                RemovalCause::AllGone | RemovalCause::ManyGone => format!("many photos are gone from {root}"),
            };
            text.push_str(&format!(
                "{why}: {missing} of the {} known below it are missing, and none was taken out. Mount the disk or \
                 bring the folder back and run the same command again; or, if they were deleted, run it with \
                 --accept-removals\n",
                count(*known, "image")
            ));
        }
        text
    }

    fn about_libraries(&self) -> String {
        let found = &self.other_libraries;
        if found.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "Other libraries lie below these folders. Photos beside them were indexed here as well, but the names \
             given there are not known here (`muster people --library FOLDER` shows them):\n",
        );
        found.iter().take(SHOWN).for_each(|folder| text.push_str(&format!("  {}\n", short(&printable(folder)))));
        if found.len() > SHOWN {
            text.push_str(&format!("  and {} more\n", count((found.len() - SHOWN) as u64, "folder")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_photos_say_how_many_of_which_root_and_what_to_do() {
        let missing = |cause| Missing { root: "/media/disk".into(), missing: 37, known: 60, cause };
        let missing = vec![
            missing(RemovalCause::ManyGone),
            missing(RemovalCause::RootMissing),
            missing(RemovalCause::NotMounted),
        ];
        let text = IndexOutcome { missing, ..IndexOutcome::default() }.remarks();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("many photos are gone from /media/disk: 37 of the 60 images known below it are"));
        assert!(lines[1].starts_with("/media/disk is not there: 37 of the 60"), "{text}");
        assert!(lines[2].starts_with("the disk of /media/disk is not mounted any more: 37 of the 60"), "{text}");
        assert!(lines.iter().all(|line| line.ends_with("run it with --accept-removals")), "{text}");
    }

    #[test]
    fn other_libraries_are_named() {
        let other_libraries = (1..=22).map(|n| format!("{n}/.muster")).collect();
        let text = IndexOutcome { images: 1, other_libraries, ..IndexOutcome::default() }.remarks();
        assert!(text.contains("names given there are not known here"), "{text}");
        assert!(text.contains("\n  1/.muster\n") && text.contains("\n  20/.muster\n"), "{text}");
        assert!(text.ends_with("  and 2 folders more\n"), "{text}");
        assert_eq!(IndexOutcome { images: 1, ..IndexOutcome::default() }.remarks(), "");
    }
}

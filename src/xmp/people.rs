//! Reads names that a photo has without a region: IPTC's `PersonInImage`, and the tags for people
//! of digiKam and Lightroom.

use std::collections::BTreeSet;

use crate::document::{Document, ElementId};
use crate::name::clean_name;
use crate::namespace::Namespace;
use crate::rdf::Value;

/// The tag under which users of digiKam and Lightroom keep people.
const PEOPLE: &str = "People";
/// The most parts into which a tag is divided.
const MAX_PARTS: usize = 16;

/// Reads the names of all people in the photo, each once, in the order of the file.
pub(crate) fn read(document: &Document<'_>, rdf: ElementId) -> Vec<String> {
    let listed = texts(document, rdf, Namespace::Iptc, "PersonInImage");
    let tags = [(Namespace::DigiKam, "TagsList", '/'), (Namespace::Lightroom, "hierarchicalSubject", '|')];
    let tagged = tags
        .iter()
        .flat_map(|(namespace, local, separator)| people_of_tags(&texts(document, rdf, *namespace, local), *separator));
    let mut seen = BTreeSet::new();
    let names = listed.into_iter().chain(tagged).filter_map(|name| clean_name(&name));
    names.filter(|name| seen.insert(name.clone())).collect()
}

/// Returns the texts of a list.
fn texts(document: &Document<'_>, rdf: ElementId, namespace: Namespace, local: &'static str) -> Vec<String> {
    let text = |value| document.text_of(value).trim().to_owned();
    let values = document.property(rdf, namespace, local).into_iter();
    values
        .flat_map(|value| match value {
            Value::Element(element) if document.container(element).is_some() => {
                document.items(element).into_iter().map(|item| text(Value::Element(item))).collect()
            }
            // This is not XMP's form of a list, but some programs use it for a single name.
            value => vec![text(value)],
        })
        .collect()
}

/// Returns the last parts of those tags below `People` that have no tag below them:
/// `People/Family/Anna` is Anna, and `People/Family` is no person if that tag exists too.
fn people_of_tags(tags: &[String], separator: char) -> Vec<String> {
    let paths = tags.iter().map(|tag| tag.splitn(MAX_PARTS, separator).map(str::trim).collect::<Vec<_>>());
    let paths: Vec<_> = paths.filter(|path| path.len() > 1 && path[0] == PEOPLE).collect();
    let parents: BTreeSet<&[&str]> =
        paths.iter().flat_map(|path| (1..path.len()).map(|length| &path[..length])).collect();
    let people = paths.iter().filter(|path| !parents.contains(path.as_slice()));
    people.filter_map(|path| path.last()).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_the_leaves_below_people() {
        let tags =
            ["People", "People/Anna", "People/Family", "People/Family/Bo", "Places/Rome", "People/", "Peoples/No"];
        let tags = tags.map(str::to_owned);
        assert_eq!(people_of_tags(&tags, '/'), ["Anna", "Bo", ""]);
        assert_eq!(people_of_tags(&["People|Anna/Bo".to_owned()], '|'), ["Anna/Bo"]);
    }
}

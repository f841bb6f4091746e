//! An XML document as elements with their places in the text, so that it can be read and spliced.

use std::borrow::Cow;
use std::ops::Range;

use crate::namespace::Namespace;

/// The number of an element within its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElementId(pub(crate) usize);

/// An element with its place in the text.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    pub(crate) parent: Option<ElementId>,
    pub(crate) children: Vec<ElementId>,
    pub(crate) namespace: Namespace,
    /// The name without its prefix.
    pub(crate) local: &'a str,
    /// The name with its prefix, as it is written.
    pub(crate) tag: &'a str,
    /// Numbers of its attributes in the document.
    pub(crate) attributes: Range<usize>,
    /// Bytes of the opening tag, or of the single tag.
    pub(crate) open: Range<usize>,
    /// Bytes of the closing tag; empty, at the end, where there is a single tag.
    pub(crate) close: Range<usize>,
    /// Text directly in the element, without markup and with character references replaced.
    pub(crate) text: String,
}

impl Element<'_> {
    /// Returns the bytes from the opening tag to the closing one.
    pub(crate) fn span(&self) -> Range<usize> {
        self.open.start..self.close.end
    }

    /// Returns whether it is written as a single tag, `<name/>`.
    pub(crate) fn is_single_tag(&self) -> bool {
        self.close.is_empty()
    }

    /// Returns whether it has this name.
    pub(crate) fn is(&self, namespace: Namespace, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }
}

/// An attribute. If it declares a namespace (`xmlns:mwg-rs`), the local name is the declared
/// prefix.
#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) namespace: Namespace,
    pub(crate) local: &'a str,
    /// Value as it is written between the quotes.
    pub(crate) raw: &'a str,
}

/// An XML document with its text.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) source: &'a str,
    pub(crate) elements: Vec<Element<'a>>,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

impl<'a> Document<'a> {
    /// Returns the element with a number that this document gave out.
    pub(crate) fn element(&self, id: ElementId) -> &Element<'a> {
        &self.elements[id.0]
    }

    /// Returns the children of an element that have this name.
    pub(crate) fn children_named(
        &self,
        id: ElementId,
        namespace: Namespace,
        local: &'static str,
    ) -> impl Iterator<Item = ElementId> + '_ {
        self.element(id).children.iter().copied().filter(move |child| self.element(*child).is(namespace, local))
    }

    /// Returns the attributes of an element, declarations of namespaces included.
    pub(crate) fn attributes_of(&self, id: ElementId) -> &[Attribute<'a>] {
        &self.attributes[self.element(id).attributes.clone()]
    }

    /// Returns the bytes of an attribute's value between the quotes.
    pub(crate) fn value_span(&self, attribute: &Attribute<'_>) -> Range<usize> {
        let start = offset(self.source, attribute.raw).unwrap_or_default();
        start..start + attribute.raw.len()
    }

    /// Returns the namespace for which a prefix stands within an element; `None` where the prefix
    /// is not declared.
    pub(crate) fn declared(&self, within: ElementId, prefix: &str) -> Option<Namespace> {
        let mut at = Some(within);
        while let Some(id) = at {
            let mut declarations = self.attributes_of(id).iter().filter(|a| a.namespace == Namespace::Declaration);
            if let Some(declaration) = declarations.find(|declaration| declaration.local == prefix) {
                return Some(Namespace::from_uri(&decode(declaration.raw)));
            }
            at = self.element(id).parent;
        }
        None
    }

    /// Returns whether the first element of `structure` contains only the tags of the others in it,
    /// the elements `rest` and white space: no other element, no property as an attribute, no text
    /// and no comment.
    pub(crate) fn has_nothing_but(&self, structure: &[ElementId], rest: &[ElementId]) -> bool {
        let has_property = |id: &ElementId| {
            let mut attributes = self.attributes_of(*id).iter().map(|attribute| attribute.namespace);
            attributes.any(|namespace| !matches!(namespace, Namespace::Rdf | Namespace::Declaration))
        };
        let tags = structure.iter().flat_map(|id| [self.element(*id).open.clone(), self.element(*id).close.clone()]);
        let mut known: Vec<_> = tags.chain(rest.iter().map(|id| self.element(*id).span())).collect();
        known.sort_by_key(|span| (span.start, span.end));
        let between = known.windows(2).map(|pair| self.source.get(pair[0].end..pair[1].start));
        let mut unknown = between.map(|text| text.unwrap_or_default().trim());
        !structure.iter().any(has_property) && unknown.all(str::is_empty)
    }

    /// Returns the white space directly before an element.
    pub(crate) fn space_before(&self, id: ElementId) -> &'a str {
        let before = &self.source[..self.element(id).open.start];
        &before[before.trim_end_matches([' ', '\t', '\r', '\n']).len()..]
    }
}

/// Returns where a part of a text begins in it; `None` for a text that is no part of it.
pub(crate) fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (at + part.len() <= text.len()).then_some(at)
}

/// Decodes the character references in the value of an attribute. The parser has refused values
/// that cannot be decoded.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    quick_xml::escape::unescape(raw).unwrap_or(Cow::Borrowed(""))
}

//! Changes of a text at places that the parser reported. All other bytes stay as they are.

use std::ops::Range;

use crate::XmpError;
use crate::document::{Document, ElementId};
use crate::fragment::Fragment;

/// Replacements of parts of a text.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Replaces a range of the file's bytes by a text.
    pub(crate) fn replace(&mut self, span: Range<usize>, text: String) {
        self.0.push((span, text));
    }

    /// Removes an element together with the white space before it.
    pub(crate) fn remove(&mut self, document: &Document<'_>, id: ElementId) {
        let span = document.element(id).span();
        self.0.push((span.start - document.space_before(id).len()..span.end, String::new()));
    }

    /// Adds children after those of an element, indented as they are.
    pub(crate) fn append(&mut self, document: &Document<'_>, parent: ElementId, children: &[Fragment]) {
        let element = document.element(parent);
        let before = document.space_before(parent);
        let line_start = before.rfind('\n').map_or("", |at| &before[at..]);
        let deeper = if line_start.is_empty() { String::new() } else { format!("{line_start} ") };
        let last = element.children.last().copied();
        let separator = last.map_or(deeper.as_str(), |last| document.space_before(last));
        let text: String = children.iter().map(|child| child.render(separator)).collect();
        if element.is_single_tag() {
            // The single tag `<tag/>` becomes `<tag>…</tag>`.
            let slash = element.open.end - 2..element.open.end;
            self.0.push((slash, format!(">{text}{line_start}</{}>", element.tag)));
        } else {
            let at = last.map_or(element.open.end, |last| document.element(last).close.end);
            self.0.push((at..at, text));
        }
    }

    /// Returns `source` with all changes applied.
    ///
    /// # Errors
    /// `Layout` where two changes overlap, which no plan does.
    pub(crate) fn apply(mut self, source: &str) -> Result<String, XmpError> {
        self.0.sort_by_key(|(span, _)| (span.start, span.end));
        let mut written =
            String::with_capacity(source.len() + self.0.iter().map(|(_, text)| text.len()).sum::<usize>());
        let mut at = 0;
        for (span, text) in self.0 {
            let kept = source.get(at..span.start).filter(|_| span.end >= span.start);
            written.push_str(kept.ok_or(XmpError::Layout("rdf:RDF"))?);
            written.push_str(&text);
            at = span.end;
        }
        written.push_str(source.get(at..).ok_or(XmpError::Layout("rdf:RDF"))?);
        Ok(written)
    }
}

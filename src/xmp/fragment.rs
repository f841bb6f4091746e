//! XML elements to be inserted into a document, one on each line.

use quick_xml::escape::escape;

use crate::document::{Document, ElementId};
use crate::namespace::Namespace;

/// Lines of elements, each with the depth of its indentation.
#[derive(Debug, Default)]
pub(crate) struct Fragment(Vec<(usize, String)>);

impl Fragment {
    /// Adds a line.
    pub(crate) fn line(&mut self, depth: usize, text: String) -> &mut Self {
        self.0.push((depth, text));
        self
    }

    /// Adds the lines of another fragment, deeper by `depth`.
    pub(crate) fn nest(&mut self, depth: usize, inner: Self) -> &mut Self {
        self.0.extend(inner.0.into_iter().map(|(inner, text)| (depth + inner, text)));
        self
    }

    /// Returns the text. `separator` is the white space before it. If the separator begins a new
    /// line, every line of the fragment begins one with the same indentation; otherwise all of them
    /// are on one line.
    pub(crate) fn render(&self, separator: &str) -> String {
        let line_start = separator.rfind('\n').map(|at| &separator[at..]);
        let mut text = String::new();
        for (number, (depth, line)) in self.0.iter().enumerate() {
            match line_start {
                _ if number == 0 => text.push_str(separator),
                Some(line_start) => {
                    text.push_str(line_start);
                    text.push_str(&" ".repeat(*depth));
                }
                None => {}
            }
            text.push_str(line);
        }
        text
    }
}

/// Returns an attribute, with a space before it.
pub(crate) fn attribute(name: &str, value: &str) -> String {
    format!(" {name}=\"{}\"", escape(value))
}

/// Formats a number from 0 to 1 with at most six decimals, which is a hundredth of a pixel in the
/// widest photos.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Returns the declarations of the prefixes that do not have muster's meaning within an element.
pub(crate) fn declarations(document: &Document<'_>, within: ElementId, needed: &[Namespace]) -> String {
    let missing = needed.iter().filter(|namespace| {
        let (prefix, _) = namespace.prefix_and_uri();
        document.declared(within, prefix) != Some(**namespace)
    });
    missing
        .map(|namespace| namespace.prefix_and_uri())
        .map(|(prefix, uri)| format!(" xmlns:{prefix}=\"{uri}\""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_six_decimals_and_no_zeros_at_the_end() {
        let table = [(0.5, "0.5"), (1.0, "1"), (0.0, "0"), (-1e-9, "0"), (1.0 / 3.0, "0.333333"), (0.1 + 0.2, "0.3")];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn lines_begin_like_the_first_or_stay_on_one() {
        let mut inner = Fragment::default();
        inner.line(0, "<b/>".to_owned());
        let mut outer = Fragment::default();
        outer.line(0, "<a>".to_owned()).nest(1, inner).line(0, "</a>".to_owned());
        assert_eq!(outer.render("\n\n  "), "\n\n  <a>\n   <b/>\n  </a>");
        assert_eq!(outer.render(" "), " <a><b/></a>");
    }
}

//! Parses XML within limits, without entities or document types.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::XmpError;
use crate::document::{Attribute, Document, Element, ElementId, decode, offset};
use crate::limits::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_OF_ELEMENT, MAX_DEPTH, MAX_ELEMENTS, MAX_PREFIXES, check_bytes};
use crate::namespace::Namespace;

/// Checks that bytes are UTF-8 and within the size limit.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, XmpError> {
    check_bytes(bytes.len())?;
    std::str::from_utf8(bytes).map_err(|_| XmpError::NotUtf8)
}

/// Parses a text with one root element. Comments, processing instructions and text outside of the
/// root are skipped; they stay where they are when the text is spliced.
///
/// # Errors
/// `Malformed`, `DocumentType`, `Entity`, `TooComplex`, or `NotUtf8` for another declared encoding.
pub(crate) fn parse(source: &str) -> Result<Document<'_>, XmpError> {
    check_bytes(source.len())?;
    let body = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut parser = Parser {
        document: Document { source, elements: Vec::new(), attributes: Vec::new() },
        skipped: source.len() - body.len(),
        open: Vec::new(),
        bindings: Vec::new(),
    };
    let mut reader = Reader::from_str(body);
    loop {
        let start = parser.position(&reader);
        let event = reader.read_event().map_err(|error| parser.malformed(&reader, &error))?;
        let span = start..parser.position(&reader);
        match event {
            Event::Start(tag) => {
                let bindings = parser.start(&tag, span)?;
                parser.open.last_mut().expect("start has opened an element").1 = bindings;
            }
            Event::Empty(tag) => {
                let bindings = parser.start(&tag, span.clone())?;
                parser.open.pop();
                parser.bindings.truncate(bindings);
            }
            Event::End(_) => parser.end(span)?,
            Event::Text(text) => parser.add_text(&text.xml10_content()),
            Event::CData(text) => parser.add_text(&text.into_inner()),
            Event::GeneralRef(reference) => parser.reference(&reference, span)?,
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) if !encoding.eq_ignore_ascii_case("utf-8") => return Err(XmpError::NotUtf8),
                _ => {}
            },
            Event::DocType(_) => return Err(XmpError::DocumentType),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if parser.open.is_empty() && !parser.document.elements.is_empty() => {
                return Ok(parser.document);
            }
            Event::Eof => return Err(malformed(source.len(), "the text ends before the last element does")),
        }
    }
}

fn malformed(at: usize, reason: &str) -> XmpError {
    XmpError::Malformed { at, reason: reason.to_owned() }
}

struct Parser<'a> {
    document: Document<'a>,
    /// Bytes of the byte order mark, which the reader does not see.
    skipped: usize,
    /// Open elements, each with the number of bindings before it.
    open: Vec<(ElementId, usize)>,
    /// Prefixes with their namespaces; the last binding of a prefix counts.
    bindings: Vec<(&'a str, Namespace)>,
}

impl<'a> Parser<'a> {
    fn position(&self, reader: &Reader<&[u8]>) -> usize {
        self.skipped + usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX / 2)
    }

    fn malformed(&self, reader: &Reader<&[u8]>, error: &quick_xml::Error) -> XmpError {
        let at = usize::try_from(reader.error_position()).unwrap_or_default();
        malformed(self.skipped + at, &error.to_string())
    }

    /// Returns the same text as a part of the source, which outlives the reader's event.
    fn kept(&self, part: &str) -> &'a str {
        let source = self.document.source;
        offset(source, part).and_then(|at| source.get(at..at + part.len())).unwrap_or_default()
    }

    /// Opens an element, and returns the number of bindings before it.
    fn start(&mut self, tag: &BytesStart<'_>, span: Range<usize>) -> Result<usize, XmpError> {
        let parent = self.open.last().map(|(id, _)| *id);
        if parent.is_none() && !self.document.elements.is_empty() {
            return Err(malformed(span.start, "there is a second root element"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(XmpError::TooComplex("more elements in each other"));
        }
        if self.document.elements.len() >= MAX_ELEMENTS {
            return Err(XmpError::TooComplex("more elements"));
        }
        let bindings = self.bindings.len();
        let first = self.document.attributes.len();
        let prefixes = self.attributes(tag, span.start)?;
        for (number, prefix) in prefixes.iter().enumerate() {
            // An attribute without a prefix belongs to its element, not to the default namespace.
            let attribute = &self.document.attributes[first + number];
            if attribute.namespace != Namespace::Declaration && !prefix.is_empty() {
                self.document.attributes[first + number].namespace = self.resolve(prefix);
            }
        }
        let name = tag.name();
        let id = ElementId(self.document.elements.len());
        self.document.elements.push(Element {
            parent,
            children: Vec::new(),
            namespace: self.resolve(name.prefix().map_or("", |prefix| prefix.into_inner())),
            local: self.kept(name.local_name().into_inner()),
            tag: self.kept(name.into_inner()),
            attributes: first..self.document.attributes.len(),
            close: span.end..span.end,
            open: span,
            text: String::new(),
        });
        if let Some(parent) = parent {
            self.document.elements[parent.0].children.push(id);
        }
        self.open.push((id, bindings));
        Ok(bindings)
    }

    /// Adds the attributes of a tag and binds the prefixes that it declares. Returns the prefix of
    /// each attribute.
    fn attributes(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<Vec<&'a str>, XmpError> {
        let mut prefixes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| malformed(at, &error.to_string()))?;
            if prefixes.len() >= MAX_ATTRIBUTES_OF_ELEMENT || self.document.attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmpError::TooComplex("more attributes"));
            }
            let raw = self.kept(&attribute.value);
            unescape(raw).map_err(|_| XmpError::Entity(at))?;
            let (prefix, local) = match attribute.key.prefix() {
                Some(prefix) => (self.kept(prefix.into_inner()), self.kept(attribute.key.local_name().into_inner())),
                None => ("", self.kept(attribute.key.into_inner())),
            };
            let declared = match (prefix, local) {
                ("", "xmlns") => Some(""),
                ("xmlns", local) => Some(local),
                _ => None,
            };
            if let Some(declared) = declared {
                if self.bindings.len() >= MAX_PREFIXES {
                    return Err(XmpError::TooComplex("more namespace prefixes"));
                }
                self.bindings.push((declared, Namespace::from_uri(&decode(raw))));
            }
            let namespace = if declared.is_some() { Namespace::Declaration } else { Namespace::Other };
            self.document.attributes.push(Attribute { namespace, local: declared.unwrap_or(local), raw });
            prefixes.push(prefix);
        }
        Ok(prefixes)
    }

    fn resolve(&self, prefix: &str) -> Namespace {
        let bound = self.bindings.iter().rev().find(|(bound, _)| *bound == prefix);
        bound.map_or(Namespace::Other, |(_, namespace)| *namespace)
    }

    fn end(&mut self, span: Range<usize>) -> Result<(), XmpError> {
        let (id, bindings) =
            self.open.pop().ok_or_else(|| malformed(span.start, "an element ends that is not open"))?;
        self.bindings.truncate(bindings);
        self.document.elements[id.0].close = span;
        Ok(())
    }

    fn add_text(&mut self, text: &str) {
        if let Some((id, _)) = self.open.last() {
            self.document.elements[id.0].text.push_str(text);
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>, span: Range<usize>) -> Result<(), XmpError> {
        let character = reference.resolve_char_ref().map_err(|_| XmpError::Entity(span.start))?;
        match (character, resolve_xml_entity(reference)) {
            (Some(character), _) => self.add_text(character.encode_utf8(&mut [0; 4])),
            (None, Some(text)) => self.add_text(text),
            (None, None) => return Err(XmpError::Entity(span.start)),
        }
        Ok(())
    }
}

//! Reads the grammar of XMP from elements: properties, fields of structures, items of lists.
//!
//! RDF can express the same in several ways (ISO 16684-1 section 7): a simple field as an attribute
//! or an element; a structure as attributes, with `rdf:parseType="Resource"`, or with an
//! `rdf:Description` in it. All of them are read.

use std::borrow::Cow;

use crate::XmpError;
use crate::document::{Document, ElementId, decode};
use crate::namespace::Namespace;

/// The value of a property or of a structure's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// An attribute, by its number in the document.
    Attribute(usize),
    /// An element.
    Element(ElementId),
}

impl Value {
    /// Returns the element, if the value is one.
    pub(crate) fn element(self) -> Option<ElementId> {
        match self {
            Self::Element(id) => Some(id),
            Self::Attribute(_) => None,
        }
    }
}

impl Document<'_> {
    /// Finds the element that holds all descriptions of the photo.
    ///
    /// # Errors
    /// `NoRdf` where there is none.
    pub(crate) fn rdf(&self) -> Result<ElementId, XmpError> {
        let found = self.elements.iter().position(|element| element.is(Namespace::Rdf, "RDF"));
        found.map(ElementId).ok_or(XmpError::NoRdf)
    }

    /// Finds all values of a property. Valid XMP has at most one.
    pub(crate) fn property(&self, rdf: ElementId, namespace: Namespace, local: &'static str) -> Vec<Value> {
        let descriptions = self.children_named(rdf, Namespace::Rdf, "Description");
        descriptions.flat_map(|description| self.named_in(description, namespace, local)).collect()
    }

    /// Finds a field of a structure.
    pub(crate) fn field(&self, structure: ElementId, namespace: Namespace, local: &'static str) -> Option<Value> {
        self.bodies(structure).find_map(|body| self.named_in(body, namespace, local).into_iter().next())
    }

    /// Returns the element to which fields of a structure can be added as children.
    pub(crate) fn body(&self, structure: ElementId) -> Option<ElementId> {
        let resource = |attribute: &crate::document::Attribute<'_>| {
            attribute.namespace == Namespace::Rdf && attribute.local == "parseType" && attribute.raw == "Resource"
        };
        let inner = self.children_named(structure, Namespace::Rdf, "Description").next();
        inner.or_else(|| self.attributes_of(structure).iter().any(resource).then_some(structure))
    }

    /// Returns the container of a list: its `rdf:Bag`, `rdf:Seq` or `rdf:Alt`.
    pub(crate) fn container(&self, list: ElementId) -> Option<ElementId> {
        let kinds = ["Bag", "Seq", "Alt"];
        kinds.iter().find_map(|kind| self.children_named(list, Namespace::Rdf, kind).next())
    }

    /// Returns the items of a list.
    pub(crate) fn items(&self, list: ElementId) -> Vec<ElementId> {
        let container = self.container(list);
        container.map(|container| self.children_named(container, Namespace::Rdf, "li").collect()).unwrap_or_default()
    }

    /// Returns a simple value as text. For a list it is the first item, for a value with qualifiers
    /// its `rdf:value`.
    pub(crate) fn text_of(&self, value: Value) -> Cow<'_, str> {
        let element = match value {
            Value::Attribute(number) => return decode(self.attributes[number].raw),
            Value::Element(element) => element,
        };
        if let Some(item) = self.items(element).first() {
            return Cow::Borrowed(&self.element(*item).text);
        }
        match self.field(element, Namespace::Rdf, "value") {
            Some(Value::Attribute(number)) => decode(self.attributes[number].raw),
            Some(Value::Element(inner)) => Cow::Borrowed(&self.element(inner).text),
            None => Cow::Borrowed(&self.element(element).text),
        }
    }

    /// Returns a structure's own element and the descriptions in it; each may have some of its
    /// fields.
    fn bodies(&self, structure: ElementId) -> impl Iterator<Item = ElementId> + '_ {
        std::iter::once(structure).chain(self.children_named(structure, Namespace::Rdf, "Description"))
    }

    /// Returns the attributes and children of an element that have a name.
    fn named_in(&self, id: ElementId, namespace: Namespace, local: &'static str) -> Vec<Value> {
        let attributes = self.element(id).attributes.clone();
        let named = attributes.filter(|number| {
            let attribute = &self.attributes[*number];
            attribute.namespace == namespace && attribute.local == local
        });
        let children = self.children_named(id, namespace, local).map(Value::Element);
        named.map(Value::Attribute).chain(children).collect()
    }
}

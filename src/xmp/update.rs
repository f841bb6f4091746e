//! Splices the names of people into an XMP document.

use std::collections::HashSet;

use crate::document::{Document, ElementId, decode};
use crate::edits::Edits;
use crate::fragment::{Fragment, attribute, declarations};
use crate::limits::{check_bytes, check_count};
use crate::listing::{Listing, Schema};
use crate::name::clean_name;
use crate::namespace::Namespace;
use crate::parser::parse;
use crate::plan::RegionPlan;
use crate::rdf::Value;
use crate::{PhotoNames, Region, XmpError, mwg};

/// The name of IPTC's list of people for messages.
const PERSON_IN_IMAGE: &str = "Iptc4xmpExt:PersonInImage";

/// Returns the text with the wanted faces in it.
pub(crate) fn update(source: &str, wanted: &[Region], names: &PhotoNames<'_>) -> Result<String, XmpError> {
    let document = parse(source)?;
    let rdf = document.rdf()?;
    let mut update = Update {
        document: &document,
        rdf,
        wanted,
        formerly: names.formerly(),
        edits: Edits::default(),
        missing: Vec::new(),
        gone: Vec::new(),
        kept: HashSet::new(),
    };
    update.regions(Schema::Mwg, names)?;
    update.regions(Schema::Microsoft, names)?;
    update.people()?;
    let written = update.finish()?;
    // A result that could not be read again must not be written.
    check_bytes(written.len())?;
    parse(&written)?;
    Ok(written)
}

struct Update<'d> {
    document: &'d Document<'d>,
    rdf: ElementId,
    wanted: &'d [Region],
    formerly: Vec<Region>,
    edits: Edits,
    /// Properties that the document does not have yet.
    missing: Vec<Fragment>,
    /// Properties of which nothing is left.
    gone: Vec<ElementId>,
    /// Names of the regions that stay.
    kept: HashSet<String>,
}

impl Update<'_> {
    /// Finds the one element of a property.
    fn property(
        &self,
        (namespace, local): (Namespace, &'static str),
        title: &'static str,
    ) -> Result<Option<ElementId>, XmpError> {
        match self.document.property(self.rdf, namespace, local).as_slice() {
            [] => Ok(None),
            [Value::Element(element)] => Ok(Some(*element)),
            _ => Err(XmpError::Layout(title)),
        }
    }

    fn declarations(&self, within: ElementId, schema: Schema) -> String {
        declarations(self.document, within, schema.namespaces())
    }

    fn regions(&mut self, schema: Schema, names: &PhotoNames<'_>) -> Result<(), XmpError> {
        let document = self.document;
        let Some(property) = self.property(schema.property(), schema.title())? else {
            if !self.wanted.is_empty() {
                let regions: Vec<_> = self.wanted.iter().collect();
                self.missing.push(schema.whole(&regions, names.stored, ""));
            }
            return Ok(());
        };
        let listing = schema.read(document, property);
        check_count(listing.regions.len())?;
        let plan = RegionPlan::new(schema, &listing, self.wanted, &self.formerly);
        self.kept.extend(plan.kept.iter().filter_map(|region| region.name.clone()));
        let body = document.body(property);
        let container = listing.list.and_then(|list| document.container(list));
        let size = listing.dimensions.as_ref().map(|dimensions| dimensions.element);
        let structure: Vec<_> = [Some(property), body, listing.list, container].into_iter().flatten().collect();
        let rest: Vec<_> = plan.remove.iter().copied().chain(size).collect();
        if plan.empties && document.has_nothing_but(&structure, &rest) {
            self.gone.push(property);
            return Ok(());
        }
        for item in &plan.remove {
            self.edits.remove(document, *item);
        }
        if self.wanted.is_empty() {
            return Ok(());
        }
        if document.has_nothing_but(&[property], &[]) {
            let around = document.element(property).parent.unwrap_or(property);
            let whole = schema.whole(&plan.add, names.stored, &self.declarations(around, schema));
            self.replace_element(property, &whole);
            return Ok(());
        }
        let mut added = Vec::new();
        if schema == Schema::Mwg && (plan.keeps_ours || !plan.add.is_empty()) {
            added.extend(self.size(&listing, &plan, names, body.unwrap_or(property))?);
        }
        for (listed, region) in &plan.moved {
            let place = schema.place(region, &self.declarations(listed.around, schema));
            self.edits.replace(listed.place.clone(), place);
        }
        match listing.list {
            _ if plan.add.is_empty() => {}
            Some(_) => {
                let container = container.ok_or(XmpError::Layout(schema.title()))?;
                let declarations = self.declarations(container, schema);
                let items: Vec<_> = plan.add.iter().map(|region| schema.item(region, &declarations)).collect();
                self.edits.append(document, container, &items);
            }
            None => added.push(schema.list(&plan.add, &self.declarations(body.unwrap_or(property), schema))),
        }
        if !added.is_empty() {
            let body = body.ok_or(XmpError::Layout(schema.title()))?;
            self.edits.append(document, body, &added);
        }
        Ok(())
    }

    /// Corrects the size for which the regions were written. Returns it as a new field where the list has none.
    fn size(
        &mut self,
        listing: &Listing,
        plan: &RegionPlan<'_>,
        names: &PhotoNames<'_>,
        body: ElementId,
    ) -> Result<Option<Fragment>, XmpError> {
        let ours = (names.stored.width, names.stored.height);
        let Some(found) = &listing.dimensions else {
            let mut line = Fragment::default();
            line.line(0, mwg::dimensions(names.stored, &self.declarations(body, Schema::Mwg)));
            return Ok(Some(line));
        };
        let other = found.size.filter(|theirs| !show_the_same(*theirs, ours));
        if let (Some(theirs), true) = (other, plan.keeps_others) {
            return Err(XmpError::OtherDimensions { theirs, ours });
        }
        if found.size != Some(ours) || !found.in_pixels {
            let element = self.document.element(found.element);
            let declarations = self.declarations(element.parent.unwrap_or(body), Schema::Mwg);
            self.edits.replace(element.span(), mwg::dimensions(names.stored, &declarations));
        }
        Ok(None)
    }

    fn people(&mut self) -> Result<(), XmpError> {
        let document = self.document;
        let mut seen = HashSet::new();
        let wanted: Vec<&str> = self.wanted.iter().filter_map(|region| region.name.as_deref()).collect();
        let wanted: Vec<&str> = wanted.into_iter().filter(|name| seen.insert(*name)).collect();
        let Some(property) = self.property((Namespace::Iptc, "PersonInImage"), PERSON_IN_IMAGE)? else {
            if !wanted.is_empty() {
                self.missing.push(people_property(&wanted, ""));
            }
            return Ok(());
        };
        let Some(container) = document.container(property) else {
            let element = document.element(property);
            if wanted.is_empty() {
                return Ok(());
            }
            if !document.has_nothing_but(&[property], &[]) {
                return Err(XmpError::Layout(PERSON_IN_IMAGE));
            }
            let around = element.parent.unwrap_or(property);
            let declared = declarations(document, around, &[Namespace::Rdf, Namespace::Iptc]);
            self.replace_element(property, &people_property(&wanted, &declared));
            return Ok(());
        };
        let items = document.items(property);
        check_count(items.len())?;
        let name_of = |item| clean_name(&document.text_of(Value::Element(item))).unwrap_or_default();
        let there: HashSet<String> = items.iter().map(|item| name_of(*item)).collect();
        let formerly: HashSet<&str> = self.formerly.iter().filter_map(|region| region.name.as_deref()).collect();
        let is_gone = |name: &str| formerly.contains(name) && !seen.contains(name) && !self.kept.contains(name);
        let gone: Vec<_> = items.iter().filter(|item| is_gone(&name_of(**item))).copied().collect();
        let declared = declarations(document, container, &[Namespace::Rdf]);
        let added: Vec<_> =
            wanted.iter().filter(|name| !there.contains(**name)).map(|name| person(name, &declared)).collect();
        let empties = !gone.is_empty() && gone.len() == items.len() && added.is_empty();
        if empties && document.has_nothing_but(&[property, container], &gone) {
            self.gone.push(property);
            return Ok(());
        }
        for item in gone {
            self.edits.remove(document, item);
        }
        if !added.is_empty() {
            self.edits.append(document, container, &added);
        }
        Ok(())
    }

    /// Replaces an element by a property, with the same indentation.
    fn replace_element(&mut self, element: ElementId, property: &Fragment) {
        let text = property.render(self.document.space_before(element));
        self.edits.replace(self.document.element(element).span(), text.trim_start().to_owned());
    }

    /// Removes and adds what was collected, and returns the text.
    fn finish(mut self) -> Result<String, XmpError> {
        let document = self.document;
        for description in document.children_named(self.rdf, Namespace::Rdf, "Description") {
            let element = document.element(description);
            let gone: Vec<_> = element.children.iter().filter(|child| self.gone.contains(child)).copied().collect();
            if gone.len() == element.children.len()
                && !gone.is_empty()
                && document.has_nothing_but(&[description], &gone)
            {
                self.edits.remove(document, description);
            } else {
                gone.into_iter().for_each(|child| self.edits.remove(document, child));
            }
        }
        if !self.missing.is_empty() {
            let description = self.description();
            self.edits.append(document, self.rdf, &[description]);
        }
        self.edits.apply(document.source)
    }

    /// Makes a description with the missing properties. It is about the same resource as the other descriptions.
    fn description(&mut self) -> Fragment {
        let document = self.document;
        let mut descriptions = document.children_named(self.rdf, Namespace::Rdf, "Description");
        let about = descriptions.find_map(|description| {
            let mut attributes = document.attributes_of(description).iter();
            attributes.find(|attribute| attribute.namespace == Namespace::Rdf && attribute.local == "about")
        });
        let about = attribute("rdf:about", &about.map_or_else(Default::default, |about| decode(about.raw)));
        let mut needed = Schema::Mwg.namespaces().to_vec();
        needed.extend(&Schema::Microsoft.namespaces()[1..]);
        needed.push(Namespace::Iptc);
        let declared = declarations(document, self.rdf, &needed);
        let mut description = Fragment::default();
        description.line(0, format!("<rdf:Description{about}{declared}>"));
        for property in self.missing.drain(..) {
            description.nest(1, property);
        }
        description.line(0, "</rdf:Description>".to_owned());
        description
    }
}

/// Returns whether two sizes can be of the same picture: they have the same proportions, except for what rounding to
/// whole pixels changes. Some programs write the size of the upright image, so the sides of one may be exchanged.
fn show_the_same(a: (u32, u32), b: (u32, u32)) -> bool {
    let proportion = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
    let is_near = |ratio: f64| (ratio - 1.0).abs() < 0.01;
    is_near(proportion(a) / proportion(b)) || is_near(proportion(a) * proportion(b))
}

fn people_property(names: &[&str], declared: &str) -> Fragment {
    let mut property = Fragment::default();
    property.line(0, format!("<{PERSON_IN_IMAGE}{declared}>")).line(1, "<rdf:Bag>".to_owned());
    for name in names {
        property.nest(2, person(name, ""));
    }
    property.line(1, "</rdf:Bag>".to_owned()).line(0, format!("</{PERSON_IN_IMAGE}>"));
    property
}

fn person(name: &str, declared: &str) -> Fragment {
    let mut item = Fragment::default();
    item.line(0, format!("<rdf:li{declared}>{}</rdf:li>", quick_xml::escape::escape(name)));
    item
}

//! Names are read in every form that RDF allows and that programs write.

use muster_xmp::{RegionKind, XmpError, read_packet};

use crate::support::{face, packet};

/// The same two regions: Anna, and a dog without a name.
const FORMS: [&str; 5] = [
    // ExifTool: parseType, elements.
    "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:AppliedToDimensions rdf:parseType='Resource'>\
     <stDim:w>4000</stDim:w><stDim:h>3000</stDim:h><stDim:unit>pixel</stDim:unit></mwg-rs:AppliedToDimensions>\
     <mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType='Resource'><mwg-rs:Area rdf:parseType='Resource'>\
     <stArea:x>0.5</stArea:x><stArea:y>0.25</stArea:y><stArea:w>0.1</stArea:w><stArea:h>0.2</stArea:h>\
     <stArea:unit>normalized</stArea:unit></mwg-rs:Area><mwg-rs:Name>Anna &amp; <![CDATA[<Bo>]]></mwg-rs:Name>\
     <mwg-rs:Type>Face</mwg-rs:Type></rdf:li><rdf:li rdf:parseType='Resource'><mwg-rs:Type>Pet</mwg-rs:Type>\
     <mwg-rs:Area stArea:x='.1' stArea:y='.1' stArea:w='.1' stArea:h='.1'/></rdf:li></rdf:Bag></mwg-rs:RegionList>\
     </mwg-rs:Regions>",
    // digiKam and Lightroom: nested descriptions, attributes.
    "<mwg-rs:Regions rdf:parseType=\"Resource\">\n <mwg-rs:AppliedToDimensions stDim:w=\"4000\" stDim:h=\"3000\"\n \
     stDim:unit=\"pixel\"/>\n <mwg-rs:RegionList>\n <rdf:Bag>\n <rdf:li>\n <rdf:Description mwg-rs:Name=\"Anna &amp; \
     &#60;Bo&gt;\" mwg-rs:Type=\"Face\">\n <mwg-rs:Area stArea:x=\"0.5\" stArea:y=\"0.25\" stArea:w=\"0.1\" \
     stArea:h=\"0.2\" stArea:unit=\"normalized\"/>\n </rdf:Description>\n </rdf:li>\n <rdf:li><rdf:Description \
     mwg-rs:Type='Pet'><mwg-rs:Area><rdf:Description stArea:x='.1' stArea:y='.1' stArea:w='.1' stArea:h='.1'/>\
     </mwg-rs:Area></rdf:Description></rdf:li>\n </rdf:Bag>\n </mwg-rs:RegionList>\n </mwg-rs:Regions>",
    // Descriptions all the way, a list in order, a name in a language.
    "<mwg-rs:Regions><rdf:Description><mwg-rs:AppliedToDimensions><rdf:Description stDim:w='4000' stDim:h='3000' \
     stDim:unit='pixel'/></mwg-rs:AppliedToDimensions><mwg-rs:RegionList><rdf:Seq><rdf:li><rdf:Description>\
     <mwg-rs:Name><rdf:Alt><rdf:li xml:lang='x-default'>Anna &amp; &lt;Bo></rdf:li></rdf:Alt></mwg-rs:Name>\
     <mwg-rs:Area stArea:x='0.5' stArea:y='0.25' stArea:w='0.1' stArea:h='0.2'/></rdf:Description></rdf:li>\
     <rdf:li mwg-rs:Type='Pet'><mwg-rs:Area stArea:x='.1' stArea:y='.1' stArea:w='.1' stArea:h='.1'/></rdf:li>\
     </rdf:Seq></mwg-rs:RegionList></rdf:Description></mwg-rs:Regions>",
    // Other prefixes; the well-known one means something else.
    "<m:Regions xmlns:m='http://www.metadataworkinggroup.com/schemas/regions/' xmlns:mwg-rs='other' \
     r:parseType='Resource' xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><m:AppliedToDimensions \
     xmlns:d='http://ns.adobe.com/xap/1.0/sType/Dimensions#' d:w='4000' d:h='3000' d:unit='pixel'/>\
     <mwg-rs:RegionList>none</mwg-rs:RegionList><m:RegionList><r:Bag><r:li r:parseType='Resource'>\
     <m:Name>Anna &amp; &lt;Bo&gt;</m:Name><mwg-rs:Name>Nobody</mwg-rs:Name><m:Area a:x='0.5' a:y='0.25' a:w='0.1' \
     a:h='0.2' xmlns:a='http://ns.adobe.com/xmp/sType/Area#'/></r:li><r:li m:Type='Pet'><m:Area stArea:x='.1' \
     stArea:y='.1' stArea:w='.1' stArea:h='.1'/></r:li></r:Bag></m:RegionList></m:Regions>",
    // A name with a qualifier, and places in pixels.
    "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:AppliedToDimensions stDim:w='4000' stDim:h='3000' \
     stDim:unit='pixel'/><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType='Resource'><mwg-rs:Name \
     rdf:parseType='Resource'><rdf:value>Anna &amp; &lt;Bo&gt;</rdf:value><dc:note>x</dc:note></mwg-rs:Name>\
     <mwg-rs:Area stArea:x='2000' stArea:y='750' stArea:w='400' stArea:h='600' stArea:unit='pixel'/></rdf:li>\
     <rdf:li mwg-rs:Type='Pet'><mwg-rs:Area stArea:x='.1' stArea:y='.1' stArea:w='.1' stArea:h='.1'/></rdf:li>\
     </rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>",
];

#[test]
fn regions_are_read_in_every_form() {
    for (number, form) in FORMS.iter().enumerate() {
        let found = read_packet(packet(form).as_bytes()).unwrap();
        assert_eq!(found.applied_to, Some((4000, 3000)), "form {number}");
        let [anna, dog] = found.regions.as_slice() else { panic!("form {number}: {found:?}") };
        assert_eq!(anna.name.as_deref(), Some("Anna & <Bo>"), "form {number}");
        assert!(anna.overlap(&face("", (0.5, 0.25, 0.1, 0.2))) > 0.9999, "form {number}: {anna:?}");
        assert_eq!(
            (anna.kind, dog.kind, dog.name.as_ref()),
            (RegionKind::Face, RegionKind::Pet, None),
            "form {number}"
        );
    }
}

#[test]
fn regions_of_windows_are_read_where_the_other_list_has_none() {
    let windows = "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>\
        <rdf:li MPReg:Rectangle='0.45, 0.15, 0.1, 0.2' MPReg:PersonDisplayName='Anne'/>\
        <rdf:li rdf:parseType='Resource'><MPReg:Rectangle>0.1, 0.1, 0.1, 0.1</MPReg:Rectangle>\
        <MPReg:PersonDisplayName>Anna</MPReg:PersonDisplayName></rdf:li>\
        <rdf:li><rdf:Description MPReg:Rectangle='0.7,0.7,0.1,0.2' MPReg:PersonDisplayName='Bo'/></rdf:li>\
        <rdf:li MPReg:PersonDisplayName='No place'/><rdf:li MPReg:Rectangle='1,2,3'/></rdf:Bag></MPRI:Regions>\
        </MP:RegionInfo>";
    let alone = read_packet(packet(windows).as_bytes()).unwrap();
    let names: Vec<_> = alone.regions.iter().map(|region| region.name.as_deref().unwrap()).collect();
    assert_eq!((names, alone.applied_to), (vec!["Anne", "Anna", "Bo"], None));
    assert!(alone.regions[0].overlap(&face("", (0.5, 0.25, 0.1, 0.2))) > 0.9999);

    // Anne is where Anna is, and Anna has a place already: both are known.
    let anna = "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:RegionList><rdf:Bag><rdf:li mwg-rs:Name='Anna'>\
        <mwg-rs:Area stArea:x='.5' stArea:y='.25' stArea:w='.1' stArea:h='.2'/></rdf:li></rdf:Bag></mwg-rs:RegionList>\
        </mwg-rs:Regions>";
    let both = read_packet(packet(&(anna.to_owned() + windows)).as_bytes()).unwrap();
    let names: Vec<_> = both.regions.iter().map(|region| region.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["Anna", "Bo"]);

    // A region without a name takes the one that Windows has for its place.
    let unnamed = anna.replace(" mwg-rs:Name='Anna'", "");
    let both = read_packet(packet(&(unnamed + windows)).as_bytes()).unwrap();
    let names: Vec<_> = both.regions.iter().map(|region| region.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["Anne", "Anna", "Bo"]);
}

#[test]
fn people_without_a_place_are_read_from_lists_and_tags() {
    let properties = "<Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Anna</rdf:li><rdf:li> Bo </rdf:li><rdf:li/></rdf:Bag>\
        </Iptc4xmpExt:PersonInImage><digiKam:TagsList><rdf:Seq><rdf:li>People/Family</rdf:li>\
        <rdf:li>People/Family/Cleo</rdf:li><rdf:li>Places/Rome</rdf:li></rdf:Seq></digiKam:TagsList>\
        <lr:hierarchicalSubject><rdf:Bag><rdf:li>People|Dan</rdf:li><rdf:li>People|Bo</rdf:li></rdf:Bag>\
        </lr:hierarchicalSubject><MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>\
        <rdf:li MPReg:Rectangle='.1,.1,.1,.1' MPReg:PersonDisplayName='Dan'/></rdf:Bag></MPRI:Regions></MP:RegionInfo>";
    let found = read_packet(packet(properties).as_bytes()).unwrap();
    assert_eq!(found.people, ["Anna", "Bo", "Cleo"]);
    // As an attribute, in a packet without x:xmpmeta, with zeros at the end.
    let bare = "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description \
        xmlns:i='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' i:PersonInImage='Anna&#x20;Łoś'/></r:RDF>\0\0";
    assert_eq!(read_packet(bare.as_bytes()).unwrap().people, ["Anna Łoś"]);
}

#[test]
fn what_two_sources_say_is_put_together() {
    let source = |regions: &[(&str, f64)], people: &[&str]| {
        let regions = regions.iter().map(|(name, x)| face(name, (*x, 0.5, 0.2, 0.2))).collect();
        muster_xmp::FoundNames { applied_to: None, regions, people: people.iter().map(|name| (*name).into()).collect() }
    };
    let sidecar = source(&[("Anna", 0.2)], &["Cleo", "Bo"]);
    let embedded = source(&[("Anne", 0.21), ("Bo", 0.8)], &["Cleo", "Dan"]);
    let merged = sidecar.merge(embedded);
    let names: Vec<_> = merged.regions.iter().map(|region| region.name.as_deref().unwrap()).collect();
    assert_eq!((names, merged.people), (vec!["Anna", "Bo"], vec!["Cleo".to_owned(), "Dan".to_owned()]));
}

#[test]
fn regions_that_say_nothing_are_passed_over() {
    let long = "é".repeat(201);
    let areas = [
        "stArea:x='.5' stArea:y='.5' stArea:w='0' stArea:h='.2'",
        "stArea:x='.5' stArea:y='.5' stArea:w='-.2' stArea:h='.2'",
        "stArea:x='NaN' stArea:y='.5' stArea:w='.2' stArea:h='.2'",
        "stArea:x='inf' stArea:y='.5' stArea:w='.2' stArea:h='.2'",
        "stArea:x='3' stArea:y='.5' stArea:w='.2' stArea:h='.2'",
        "stArea:x='.5' stArea:y='.5' stArea:d='.2'",
        "stArea:x='.5' stArea:y='.5' stArea:w='.2' stArea:h='.2' stArea:unit='inch'",
        "stArea:x='500' stArea:y='5' stArea:w='20' stArea:h='20' stArea:unit='pixel'",
        "stArea:x='.5' stArea:y='.5' stArea:w='.2' stArea:h='.2'",
    ];
    let items: String =
        areas.iter().map(|area| format!("<rdf:li mwg-rs:Name='{long}'><mwg-rs:Area {area}/></rdf:li>")).collect();
    let list = format!(
        "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList>\
         </mwg-rs:Regions>"
    );
    let found = read_packet(packet(&list).as_bytes()).unwrap();
    // The last one is a region, without the name that is too long.
    assert_eq!(found.regions.iter().map(|region| region.name.as_deref()).collect::<Vec<_>>(), [None]);
}

#[test]
fn what_is_no_xmp_is_refused() {
    assert_eq!(read_packet(b"<a/>"), Err(XmpError::NoRdf));
    assert_eq!(read_packet(b"\xff\xfe<\0a\0"), Err(XmpError::NotUtf8));
    assert_eq!(read_packet(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), Err(XmpError::NotUtf8));
    for broken in ["", "   ", "<a>", "<a></b>", "<a/><b/>", "</a>", "<a b='1' b='2'/>", "<a b=1/>"] {
        assert!(matches!(read_packet(broken.as_bytes()), Err(XmpError::Malformed { .. })), "{broken}");
    }
}

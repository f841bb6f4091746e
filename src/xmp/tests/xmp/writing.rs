//! Names are written into sidecars, and nothing else in them changes.

use muster_xmp::{PhotoNames, Region, RegionKind, Size, XmpError, read_packet, write_sidecar};
use proptest::prelude::*;

use crate::support::{face, names, packet};

const ANNA: (f64, f64, f64, f64) = (0.5, 0.25, 0.1, 0.2);
const BO: (f64, f64, f64, f64) = (0.2, 0.7, 0.1, 0.1);

fn write(existing: &str, names: &PhotoNames<'_>) -> String {
    let written = write_sidecar(Some(existing.as_bytes()), names).unwrap().unwrap();
    let again = write_sidecar(Some(&written), names).unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&written), "writing again changes it");
    String::from_utf8(written).unwrap()
}

fn named(text: &str) -> Vec<String> {
    read_packet(text.as_bytes()).unwrap().regions.into_iter().map(|region| region.name.unwrap_or_default()).collect()
}

/// Whether `text` is `other` with parts put in: all of `other` is there, in its order.
fn is_extended_by(other: &str, text: &str) -> bool {
    let mut rest = text;
    other.split_inclusive('>').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn a_new_sidecar_has_all_three_forms() {
    let written = write_sidecar(None, &names(&[face("Anna \"A\" <&>", ANNA)])).unwrap().unwrap();
    let expected = r#"<?xpacket begin="BOM" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="muster">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:MP="http://ns.microsoft.com/photo/1.2/" xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions stDim:w="4000" stDim:h="3000" stDim:unit="pixel"/>
    <mwg-rs:RegionList>
     <rdf:Bag>
      <rdf:li>
       <rdf:Description mwg-rs:Type="Face" mwg-rs:Name="Anna &quot;A&quot; &lt;&amp;&gt;">
        <mwg-rs:Area stArea:x="0.5" stArea:y="0.25" stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/>
       </rdf:Description>
      </rdf:li>
     </rdf:Bag>
    </mwg-rs:RegionList>
   </mwg-rs:Regions>
   <MP:RegionInfo rdf:parseType="Resource">
    <MPRI:Regions>
     <rdf:Bag>
      <rdf:li MPReg:Rectangle="0.45, 0.15, 0.1, 0.2" MPReg:PersonDisplayName="Anna &quot;A&quot; &lt;&amp;&gt;"/>
     </rdf:Bag>
    </MPRI:Regions>
   </MP:RegionInfo>
   <Iptc4xmpExt:PersonInImage>
    <rdf:Bag>
     <rdf:li>Anna &quot;A&quot; &lt;&amp;&gt;</rdf:li>
    </rdf:Bag>
   </Iptc4xmpExt:PersonInImage>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"#;
    assert_eq!(String::from_utf8(written).unwrap(), expected.replace("BOM", "\u{feff}"));
}

#[test]
fn without_names_there_is_no_sidecar() {
    assert_eq!(write_sidecar(None, &names(&[])), Ok(None));
    assert_eq!(write_sidecar(Some(b" \n"), &names(&[])), Ok(None));
    let pet = Region { kind: RegionKind::Pet, ..face("Rex", ANNA) };
    let unnamed = Region { name: None, ..face("", ANNA) };
    assert_eq!(write_sidecar(None, &names(&[pet, unnamed])), Ok(None));
    // Of a sidecar that muster made, nothing is left once the last name is gone.
    let regions = [face("Anna", ANNA)];
    let written = write_sidecar(None, &names(&regions)).unwrap().unwrap();
    let gone = PhotoNames { formerly: &regions, ..names(&[]) };
    assert_eq!(write_sidecar(Some(&written), &gone), Ok(None));
}

/// What other programs wrote, in forms that a serialiser would not keep.
const FOREIGN: [&str; 6] = [
    "",
    "<!-- a -- comment without end --><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>A &#233; &amp;  B</rdf:li></rdf:Alt>\
     </dc:title  >\n\t<dc:x  a = \"1\"\n/><?keep this?><![CDATA[ ]]>",
    "<mwg-rs:Regions rdf:parseType='Resource'>\n<mwg-rs:AppliedToDimensions stDim:unit='pixel' stDim:h='3000' \
     stDim:w='4000'/><mwg-rs:RegionList>\n  <rdf:Bag>\n    <!-- Rex --><rdf:li mwg-rs:Name='Rex' mwg-rs:Type='Pet'>\
     <mwg-rs:Area stArea:x='.5' stArea:y='.25' stArea:w='.1' stArea:h='.2'/></rdf:li>\n    <rdf:li mwg-rs:Name='Zoë' \
     mwg-rs:Type='Face' mwg-rs:Title='x'><mwg-rs:Area stArea:x='.50' stArea:y='.25' stArea:w='.1' stArea:h='.2'/></rdf:li>\
     <rdf:li/>\n    </rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>",
    "<MP:RegionInfo><rdf:Description dc:note='x'><MPRI:Regions><rdf:Bag><rdf:li MPReg:Rectangle='0.1,0.1,.1,.1'/></rdf:Bag>\
     </MPRI:Regions></rdf:Description></MP:RegionInfo><Iptc4xmpExt:PersonInImage><rdf:Seq><rdf:li>Zoë</rdf:li></rdf:Seq>\
     </Iptc4xmpExt:PersonInImage>",
    "<mwg-rs:Regions><rdf:Description/></mwg-rs:Regions><MP:RegionInfo/><Iptc4xmpExt:PersonInImage/>",
    "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:RegionList><rdf:Bag/></mwg-rs:RegionList></mwg-rs:Regions>\
     <Iptc4xmpExt:PersonInImage><rdf:Bag></rdf:Bag></Iptc4xmpExt:PersonInImage>",
];

#[test]
fn what_others_wrote_stays_and_comes_back_when_the_names_go() {
    let regions = [face("Anna", ANNA), face("Bo & Co", BO)];
    for (number, foreign) in FOREIGN.iter().enumerate() {
        let comments = foreign.replace("a -- comment", "a - comment");
        let before = format!("\u{feff}<?xml version='1.0'?>\r\n{}\n<!-- end -->   \n", packet(&comments));
        let after = write(&before, &names(&regions));
        let found = named(&after);
        assert!(found.contains(&"Anna".to_owned()) && found.contains(&"Bo & Co".to_owned()), "{number}: {found:?}");
        if number < 4 {
            assert!(is_extended_by(&before, &after), "{number}:\n{before}\n{after}");
            let gone = PhotoNames { formerly: &regions, ..names(&[]) };
            assert_eq!(write(&after, &gone), before, "{number}");
        }
        if number == 2 {
            assert_eq!(found, ["Rex", "Zoë", "Anna", "Bo & Co"]);
        }
    }
}

#[test]
fn a_file_of_exiftool_keeps_every_byte() {
    let before = include_str!("exiftool.xmp");
    let regions = [face("Anna & Co", ANNA), face("Bo", BO)];
    let after = write(before, &names(&regions));
    assert!(is_extended_by(before, &after), "{after}");
    // Anna & Co is there already, so that only Bo came.
    let found = read_packet(after.as_bytes()).unwrap();
    let mut found: Vec<_> = found.regions.iter().map(|region| region.name.as_deref().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["Anna & Co", "Bo"]);
    assert_eq!(after.matches("Anna &amp; Co").count(), 3, "{after}");
    assert!(
        after.contains(
            "\n     <rdf:li>\n      <rdf:Description mwg-rs:Type=\"Face\" mwg-rs:Name=\"Bo\">\n       <mwg-rs:Area"
        ),
        "{after}"
    );
}

#[test]
fn what_muster_wrote_before_is_renamed_moved_and_removed() {
    let first = [face("Anna", ANNA), face("Bo", BO)];
    let before = write(&packet(FOREIGN[2]), &names(&first));
    let moved = (0.52, 0.26, 0.1, 0.2);
    let second = [face("Anna", moved), face("Bob", BO)];
    let after = write(&before, &PhotoNames { formerly: &first, ..names(&second) });
    assert_eq!(named(&after), ["Rex", "Zoë", "Anna", "Bob"]);
    let found = read_packet(after.as_bytes()).unwrap();
    assert!(found.regions[2].overlap(&face("", moved)) > 0.999, "{after}");
    assert!(!after.contains(">Bo<") && after.contains(">Bob<"), "{after}");
    assert_eq!(after.matches("0.47, 0.16, 0.1, 0.2").count(), 1, "{after}");

    // Without knowing what it wrote, muster adds and removes nothing.
    let unknown = write(&before, &names(&second));
    assert_eq!(named(&unknown), ["Rex", "Zoë", "Anna", "Bo", "Bob"]);
}

#[test]
fn a_person_whose_face_another_program_marks_stays_in_the_list_of_people() {
    let zoe = [face("Zoë", ANNA)];
    let before = write(&packet(FOREIGN[2]), &names(&zoe));
    assert_eq!(before.matches("Zoë").count(), 3, "one region of each schema and one name: {before}");
    // Now another program's Zoë is also what muster wrote.
    let elsewhere = [face("Zoë", BO)];
    let after = write(&before, &PhotoNames { formerly: &elsewhere, ..names(&[]) });
    assert_eq!(after, before);
}

#[test]
fn lists_of_one_name_and_broken_lists_are_told() {
    let anna = [face("Anna", ANNA)];
    let broken = [
        ("mwg-rs:Regions", "<mwg-rs:Regions rdf:parseType='Resource'/><mwg-rs:Regions rdf:parseType='Resource'/>"),
        (
            "mwg-rs:Regions",
            "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:RegionList>x</mwg-rs:RegionList></mwg-rs:Regions>",
        ),
        ("mwg-rs:Regions", "<mwg-rs:Regions dc:x='1'/>"),
        ("MP:RegionInfo", "<MP:RegionInfo MPReg:x=''/>"),
        ("Iptc4xmpExt:PersonInImage", "<Iptc4xmpExt:PersonInImage>Zoë</Iptc4xmpExt:PersonInImage>"),
    ];
    for (title, properties) in broken {
        let result = write_sidecar(Some(packet(properties).as_bytes()), &names(&anna));
        assert_eq!(result, Err(XmpError::Layout(title)), "{properties}");
        let unchanged = write_sidecar(Some(packet(properties).as_bytes()), &names(&[]));
        assert!(unchanged == Ok(Some(packet(properties).into_bytes())) || unchanged == Err(XmpError::Layout(title)));
    }
}

#[test]
fn regions_of_another_crop_are_not_mixed_with_ours() {
    let anna = [face("Anna", ANNA)];
    let square = FOREIGN[2].replace("3000", "4000");
    let result = write_sidecar(Some(packet(&square).as_bytes()), &names(&anna));
    assert_eq!(result, Err(XmpError::OtherDimensions { theirs: (4000, 4000), ours: (4000, 3000) }));
    // The same picture at half its size keeps its regions, and so does one with the size of the
    // upright image.
    for (width, height) in [("2000", "1500"), ("1500", "2000"), ("2000", "1501")] {
        let other = FOREIGN[2].replace("3000", height).replace("4000", width);
        let after = write(&packet(&other), &names(&anna));
        assert_eq!(read_packet(after.as_bytes()).unwrap().applied_to, Some((4000, 3000)));
        assert_eq!(named(&after), ["Rex", "Zoë", "Anna"]);
    }
    // If the other program has the name already, nothing is to be added, and its size stays too.
    let known = [face("Zoë", ANNA)];
    let own = |text: &str| text.matches("4000").count();
    assert_eq!(own(&write(&packet(&square), &names(&known))), 2);
    // If all regions are muster's own, they go with the old size.
    let before = write(&packet(""), &names(&anna));
    let cut = [face("Anna", (0.5, 0.4, 0.2, 0.3))];
    let names = PhotoNames { stored: Size { width: 3000, height: 4000 }, regions: &cut, formerly: &anna };
    let after = write(&before, &names);
    assert_eq!(read_packet(after.as_bytes()).unwrap().applied_to, Some((3000, 4000)));
    assert_eq!(named(&after), ["Anna"]);
}

#[test]
fn prefixes_with_another_meaning_are_declared_anew() {
    let strange = "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:rdf='else' xmlns:MP='more'>\
        <r:Description r:about='uuid:1' xmlns:m='http://www.metadataworkinggroup.com/schemas/regions/'>\
        <m:Regions r:parseType='Resource' xmlns:stArea='none'><m:RegionList><r:Bag><r:li/></r:Bag></m:RegionList>\
        </m:Regions></r:Description></r:RDF>";
    let regions = [face("Anna", ANNA)];
    let after = write(strange, &names(&regions));
    let found = read_packet(after.as_bytes()).unwrap();
    assert_eq!((found.regions.len(), found.applied_to), (1, Some((4000, 3000))), "{after}");
    assert!(after.contains("rdf:about=\"uuid:1\""), "{after}");
    assert_eq!(write(&after, &PhotoNames { formerly: &regions, ..names(&[]) }).matches("Anna").count(), 0);
}

proptest! {
    #[test]
    fn regions_come_back_as_they_were_written(
        faces in proptest::collection::vec((any::<String>(), 0.0..0.9f64, 0.0..0.9f64, 0.01..1.0f64, 0.01..1.0f64), 1..8),
        foreign in 0..FOREIGN.len(),
    ) {
        let regions: Vec<Region> = faces.iter().enumerate().map(|(number, (name, left, top, width, height))| {
            let (w, h) = (width * (1.0 - left), height * (1.0 - top));
            face(&format!("{number} {}", name.chars().take(150).collect::<String>()), (left + w / 2.0, top + h / 2.0, w, h))
        }).collect();
        let foreign = packet(&FOREIGN[foreign].replace("a -- comment", "a - comment"));
        let after = write(&foreign, &names(&regions));
        let found = read_packet(after.as_bytes()).unwrap();
        for region in &regions {
            let name: String = region.name.as_deref().unwrap().replace(['\t', '\n', '\r'], " ");
            let name: String = name.chars().filter(|c| !c.is_control() && !"\u{fffe}\u{ffff}".contains(*c)).collect();
            let known = found.regions.iter().find(|found| found.name.as_deref() == Some(name.trim()));
            prop_assert!(known.is_some_and(|known| known.overlap(region) > 0.99), "{name:?} in {after}");
        }
        let gone = write_sidecar(Some(after.as_bytes()), &PhotoNames { formerly: &regions, ..names(&[]) }).unwrap().unwrap();
        let left = read_packet(&gone).unwrap();
        prop_assert!(left.regions.len() <= 3, "{:?}", left);
    }
}

//! Scores how well a pack's vectors group people, on photos with a folder for each person, as `muster evaluate` does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use muster_actors::domain::capture::Capture;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::FaceVector;
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::engine::{EngineError, FoundFace};
use muster_evaluation::LabelledFaces;
use muster_evaluation::folders::{largest_faces, person_folder};
use muster_evaluation::scores::{Bootstrap, score};

use super::OptimizeError;
use super::samples::{WITH_FACES, files, photo};
use crate::onnx::analyser::Analyser;
use crate::onnx::derived_pack::GroupingScores;
use muster_index::FlatFactory;
use muster_vision::decode::VisionDecoder;

/// Finds the faces of photos below `folder`, as indexing does, in up to [`WITH_FACES`] photos with faces. The largest
/// face of a photo in a person's folder is that person's. `told` is called with the number of files that were read, and
/// of all files.
pub(super) fn find(
    folder: &Path,
    decoder: &VisionDecoder,
    analyser: &mut Analyser,
    mut told: impl FnMut(usize, usize),
) -> Result<LabelledFaces, EngineError> {
    let mut people: BTreeMap<OsString, u32> = BTreeMap::new();
    let (mut all, mut with_faces) = (Vec::new(), 0);
    let files = files(folder);
    for (number, path) in files.iter().enumerate() {
        told(number + 1, files.len());
        if with_faces == WITH_FACES {
            break;
        }
        let Some(frame) = photo(path, decoder) else { continue };
        // `muster evaluate` does the same: names in a series would tell whose folder a photo is in.
        let capture = Capture { series: None, ..Capture::new(frame.taken, frame.picture, "", &path.to_string_lossy()) };
        let found = analyser.analyse(&[Arc::new(frame)])?.into_iter().flatten().flatten();
        // Detections that are not faces are not grouped in a library either.
        let found: Vec<FoundFace> = found.filter(|face| face.quality.is_face()).collect();
        with_faces += usize::from(!found.is_empty());
        let image = ImageId((number as u128).to_be_bytes());
        let ids = (all.len()..).map(|number| FaceId((number as u128).to_be_bytes()));
        let faces: Vec<(FaceId, FoundFace)> = ids.zip(found).collect();
        let largest = largest_faces(faces.iter().map(|(id, face)| (image, *id, face.bbox)));
        let next = people.len() as u32;
        let person = person_folder(folder, path).map(|name| *people.entry(name.to_owned()).or_insert(next));
        all.extend(faces.into_iter().map(|(id, face)| {
            let FoundFace { quality, embedding, .. } = face;
            let vector = FaceVector { id, image, embedding, quality: quality.overall, capture, place: None };
            (vector, person.filter(|_| largest.get(&image) == Some(&id)))
        }));
    }
    Ok(LabelledFaces::new(all))
}

/// Groups the faces and scores the groups. Faces of unknown people are grouped too, as in a library, because they may
/// tie people together.
pub(super) fn scores(faces: &LabelledFaces, params: &Params) -> Result<GroupingScores, OptimizeError> {
    let partition = reconcile(faces.snapshot(), params, &FlatFactory)?.partition;
    let scores = score(faces.people(), &faces.groups(&partition), Bootstrap { draws: 0, seed: 0 })?;
    Ok(GroupingScores { b_cubed_f: scores.b_cubed.f, groups: scores.groups, mixed_groups: scores.mixed_groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face with a vector in the direction of its person, in a photo of its own.
    fn face(number: u8, person: usize) -> (FaceVector, Option<u32>) {
        let mut embedding = vec![0.1; 12];
        embedding[person] = 1.0;
        embedding[usize::from(number)] += 0.3;
        let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
        let vector = FaceVector {
            id: FaceId([number; 16]),
            image: ImageId([number; 16]),
            embedding: embedding.into_iter().map(|v| v / length).collect(),
            quality: 1.0,
            capture: Default::default(),
            place: None,
        };
        (vector, Some(person as u32))
    }

    #[test]
    fn people_who_are_apart_are_grouped_without_a_fault() {
        let faces = LabelledFaces::new((0..12).map(|number| face(number, usize::from(number / 3))).collect());
        let found = scores(&faces, &Params::default()).unwrap();
        assert_eq!(found, GroupingScores { b_cubed_f: 1.0, groups: 4, mixed_groups: 0 });
        // The labels say that two people are one: each group holds half of them.
        let labels = faces.faces().iter().zip(faces.people());
        let paired = labels.map(|(face, person)| (face.clone(), person.map(|person| person / 2))).collect();
        let found = scores(&LabelledFaces::new(paired), &Params::default()).unwrap();
        assert!((found.b_cubed_f - 2.0 / 3.0).abs() < 1e-12, "{found:?}");
        // They also say that one of two is somebody else, whom the group mixes in.
        let mixed = faces.faces().iter().enumerate().map(|(at, face)| (face.clone(), Some(at as u32 / 2))).collect();
        assert_eq!(scores(&LabelledFaces::new(mixed), &Params::default()).unwrap().mixed_groups, 4);
        assert_eq!(scores(&LabelledFaces::default(), &Params::default()).unwrap().groups, 0);
    }
}

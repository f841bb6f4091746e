//! Messages under a cutover: each image goes to its side, once, and what nobody can read goes on as it came.

use muster_actors::cutover::split::{CutoverTarget, side, split};
use muster_actors::domain::gallery::{GalleryId, GalleryRule};
use muster_actors::domain::image::Locator;
use muster_actors::domain::message::{Intake, Message, parse};

const LIMIT: usize = 1 << 20;

fn images(body: &str) -> Option<Vec<Locator>> {
    let gallery = GalleryRule::Always(GalleryId("any".to_owned()));
    match parse(body, &Intake { gallery, results: String::new(), thumbnails: None, removals: true }, LIMIT) {
        Ok(Message::Images(images)) => Some(images.into_iter().map(|image| image.locator).collect()),
        _ => None,
    }
}

/// Bytes as the body of a message, at both ends and between.
pub fn split_message(data: &[u8]) {
    let body = String::from_utf8_lossy(data);
    let asked = images(&body);
    for percent in [0, 1, 37, 99, 100] {
        let parts = split(&body, percent, LIMIT);
        let Some(asked) = &asked else {
            assert!(parts.len() == 1 && parts[0].body == body, "{percent} % of {body}");
            continue;
        };
        assert!(parts.is_sorted_by(|a, b| a.side < b.side), "{percent} % of {body}");
        for of in [CutoverTarget::Ecs, CutoverTarget::Batch] {
            let wanted: Vec<_> = asked.iter().filter(|image| side(&image.bucket, &image.key, percent) == of).collect();
            let part = parts.iter().find(|part| part.side == of);
            let sent = part.map(|part| images(&part.body).expect("a part can be read"));
            assert_eq!(sent.iter().flatten().collect::<Vec<_>>(), wanted, "{of:?} at {percent} % of {body}");
        }
    }
}

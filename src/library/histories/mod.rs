//! Random histories of a library against a model of what was said: nothing that somebody said is lost or moved but by
//! the change that says so.

mod library_model;

use muster_actors::people::Author;

use library_model::{File, LibraryModel, SeededRandom, gallery, stored};

use crate::forget::{ForgetTarget, forget};
use crate::{correct, groups, tombstones, write};

fn live(seed: u64) {
    let (mut dice, mut world) = (SeededRandom(seed), LibraryModel::new());
    for step in 0..40 {
        let keys: Vec<String> = world.files.keys().cloned().collect();
        let any = |dice: &mut SeededRandom| keys.get(dice.below(keys.len())).cloned();
        let fresh = format!("{step}.jpg");
        let event = dice.below(if step < 8 { 1 } else { 15 });
        let chosen = any(&mut dice);
        let any_key = chosen.clone();
        // What was said before a file changed is taken back in other tests: here it would be said of other files.
        if (1..=6).contains(&event) {
            world.history.clear();
        }
        let what = match (event, chosen) {
            (0, _) | (_, None) => {
                let faces = 1 + dice.below(2);
                // Nobody is in a picture twice.
                let first = dice.below(4);
                world.pictures.push((0..faces).map(|n| (first + n * 2) % 5).collect());
                let picture = world.pictures.len() - 1;
                world.files.insert(fresh.clone(), File { picture, bytes: 0, cropped: 0.0 });
                world.index(&fresh);
                world.regroup();
                "a new photo"
            }
            (1, Some(key)) => {
                let file = world.files[&key].clone();
                world.files.insert(fresh.clone(), file);
                world.index(&fresh);
                world.follow(&fresh, true);
                world.regroup();
                "a copy"
            }
            (2, Some(key)) => {
                let file = world.files[&key].clone();
                world.remove(&key);
                world.files.insert(fresh.clone(), file);
                world.index(&fresh);
                world.follow(&fresh, true);
                world.regroup();
                "a photo that moved"
            }
            (3, Some(key)) => {
                world.remove(&key);
                world.regroup();
                "a deleted photo"
            }
            (4, Some(key)) => {
                let file = world.files.get_mut(&key).unwrap();
                (file.bytes, file.cropped) = (file.bytes + 1, 3.0 - file.cropped);
                world.index(&key);
                world.follow(&key, false);
                world.regroup();
                "an edited photo"
            }
            (5, Some(_)) => {
                // Away, and back again: an index in between.
                for key in &keys {
                    write::remove(world.library.db_mut(), &[LibraryModel::locator(key).id()]).unwrap();
                }
                world.regroup();
                keys.iter().for_each(|key| world.index(key));
                world.regroup();
                "a disk that was away"
            }
            (6, Some(_)) => {
                world.model += 1;
                keys.iter().for_each(|key| world.index(key));
                keys.iter().for_each(|key| world.follow(key, false));
                world.regroup();
                "another model"
            }
            (7, Some(_)) => {
                if let Some(before) = world.history.pop() {
                    world.clock += 1;
                    let author = Author { by: "me".to_owned(), at_ms: world.clock };
                    match correct::take_back(world.library.db_mut(), None, &author) {
                        // What was carried to other files since is said of them, too.
                        Ok(_) => world.said = before,
                        Err(_) => world.history.clear(),
                    }
                    world.regroup();
                }
                "an undoing"
            }
            (8, Some(key)) if dice.below(3) == 0 => {
                let path = world.folder.path().canonicalize().unwrap().join(&key);
                forget(&mut world.library, &ForgetTarget::Path(path.clone()), &Author::default()).unwrap();
                world.files.remove(&key);
                // What was said of its faces goes with it.
                world.said.owner.retain(|spot, _| spot.0 != key);
                world.said.two.retain(|(a, b)| a.0 != key && b.0 != key);
                world.history.clear();
                let places = world.library.places().clone();
                tombstones::lift(world.library.db_mut(), &places, &path).unwrap();
                "a forgotten photo"
            }
            _ => {
                world.say(&mut dice);
                "a correction"
            }
        };
        let what = format!("seed {seed}, step {step}, {what}");
        println!("{what}: {} {:?}", world.last, any_key);
        world.last.clear();
        world.check(&what);
        world.regroup();
        world.check(&format!("{what}, grouped again"));
    }
    assert!(stored(world.library.db()) > 0 || world.files.is_empty());
    assert!(groups::generation(world.library.db(), &gallery()).unwrap() > 0);
}

#[test]
fn nothing_that_was_said_is_lost_or_moved_but_by_the_change_that_says_so() {
    let seeds = std::env::var("MUSTER_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    (0..seeds).for_each(live);
}

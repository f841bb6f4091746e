//! Mutations of seeds: what a broken disk, a hostile sender and another version of a program do to bytes.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// Longer inputs are cut.
const LONGEST: usize = 16 << 10;
/// Bytes at which parsers decide.
const BYTES: [u8; 16] = *b"\0\x01\x7f\x80\xff\"\\{}[],:=%\n";
/// Words at which they decide.
const WORDS: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"inf",
    b"256",
    b"4294967296",
    b"18446744073709551615",
    b"null",
    b"[]",
    b"{}",
    b"../",
    b"%2e%2F",
    "\u{fffe}é😀".as_bytes(),
];

/// A range of `bytes`, which are not empty.
fn range(rng: &mut ChaCha8Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = rng.random_range(0..bytes.len());
    let longest = (bytes.len() - start).min(if rng.random_bool(0.1) { 256 } else { 12 });
    start..start + rng.random_range(1..=longest)
}

fn change(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..10) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes[at] = *BYTES.choose(rng).expect("there are some"),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(range(rng, bytes))),
        5 => {
            let copied = bytes[range(rng, bytes)].to_vec();
            bytes.splice(at..at, copied);
        }
        6 => {
            let word = *WORDS.choose(rng).expect("there are some");
            bytes.splice(at..at, word.iter().copied());
        }
        // A whole number, or a whole word, becomes another.
        7 => {
            let same = |byte: &u8| byte.is_ascii_alphanumeric() == bytes[at].is_ascii_alphanumeric();
            let before = bytes[..at].iter().rev().take_while(|byte| same(byte)).count();
            let after = bytes[at..].iter().take_while(|byte| same(byte)).count();
            let word = *WORDS.choose(rng).expect("there are some");
            bytes.splice(at - before..at + after, word.iter().copied());
        }
        _ => {
            let other = seeds.choose(rng).filter(|other| !other.is_empty());
            let part = other.map(|other| other[range(rng, other)].to_vec()).unwrap_or_default();
            bytes.splice(at..at, part);
        }
    }
}

/// One of the seeds after one to six changes.
pub fn mutated(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds.choose(rng).cloned().unwrap_or_default();
    for _ in 0..rng.random_range(1..=6) {
        change(rng, &mut bytes, seeds);
    }
    bytes.truncate(LONGEST);
    bytes
}

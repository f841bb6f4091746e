//! The data that everything else speaks of, and its rules. Pure: no port, no actor, no clock of its own.

pub mod capture;
pub mod cost;
pub mod cutover_state;
pub mod exit;
pub mod face;
pub mod face_place;
pub mod fact;
pub mod facts;
pub mod file_name;
pub mod gallery;
pub mod histogram;
pub mod image;
pub mod message;
pub mod person;
pub mod sibling;
pub mod timings;
pub mod version;

//! What needs a folder and no server: the program on real photos, the command line, a library's histories, the models, and the
//! parsers of outside bytes over kept seeds. One program, so that everything is linked once.

mod captures;
mod cli;
mod evaluate;
mod folders;
mod index;
mod library;
mod models;
mod moments;
mod moves;
mod non_faces;
mod parsers;
mod persons;
mod report;
#[path = "../support/mod.rs"]
mod support;

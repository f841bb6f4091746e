//! Checks of the repository as a whole; they need no server, no photo and no network.

mod crates;
mod paths;
mod prose;
mod words;

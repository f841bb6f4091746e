//! Names in sidecars and photos: read in every form that programs write, written without touching
//! anything else, and compared with ExifTool.

mod exiftool;
mod hostile;
mod images;
mod reading;
mod support;
mod writing;

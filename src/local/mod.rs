//! The embedded ends: a scanned folder as queue and objects, and a library as store.

//! From bytes to pixels to aligned, scored faces: pure, no I/O.

//! Recorded requests in formats that other programs read.

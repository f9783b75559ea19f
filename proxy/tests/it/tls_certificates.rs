//! Certificates: which one is served, and their replacement.

//! Looks at container networks: [`probe`] from inside, [`inspect`] at what is there, [`verify`] whether
//! it is as the Compose file draws it.

pub mod inspect;
pub mod probe;
pub mod verify;

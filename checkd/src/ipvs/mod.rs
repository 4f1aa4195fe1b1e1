//! The kernel's table of virtual services: messages ([`wire`]) and who carries them ([`kernel`]).

pub mod kernel;
pub mod table;
pub mod wire;

//! The only crate allowed to say `unsafe`: what the kernel offers and neither socket2 nor nix wraps.
//!
//! Invariant: every public function is safe to call with any argument; every `unsafe` block says why it is sound
//! and has a test. Absent on purpose: anything that socket2 or nix already does in one safe call, except where a
//! process-wide setting deserves one name for all daemons ([`process`]).

pub mod clock;
pub mod fdpass;
pub mod fork;
pub mod inherit;
pub mod netns;
pub mod packet;
pub mod process;
pub mod tcp;

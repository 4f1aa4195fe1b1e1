//! What touches the kernel: sockets, frames, addresses.

pub mod address;
pub mod neighbour;
pub mod socket;

//! What touches the kernel: sockets, frames, addresses.

pub mod address;
pub mod alarm;
pub mod neighbour;
pub mod socket;

//! The core as a whole: scenarios by hand, hostile packets, and many routers in virtual time.

mod hostile;
mod lab;
mod scenarios;
mod simulation;

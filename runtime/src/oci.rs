//! A runtime as the runtime specification has it.

mod normalise;

pub use normalise::normalise;

//! What the fuzz targets share: a repository to write to, and tars made of arbitrary entries.

mod entries;
mod place;

pub use entries::Archive;
pub use place::{Place, with_place};

//! berth as its users meet it: the real binary, run by an ordinary user, on real images and a real
//! registry, with stock ostree as the judge of what it wrote.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod support;

mod airgap;
mod alone;
mod atomic;
mod auth;
mod basics;
mod checkout;
mod checkout_over;
mod chunked;
mod confined;
mod container_diff;
mod containers;
mod contract;
mod cp;
mod diff;
mod exec;
mod gc;
mod health;
mod hosts;
mod life;
mod limits;
mod locks;
mod logs;
mod looking;
mod many;
mod materials;
mod merge;
mod modes;
mod nets;
mod network;
mod no_overlay;
mod oci;
mod ostree_compat;
mod out;
mod plumbing;
mod pull;
mod recipe;
mod reflink;
mod refs;
mod repo;
mod run;
mod services;
mod signatures;
mod sources;
mod stats;
mod stress;
mod surroundings;
mod telling;
mod tidy;
mod typed;
mod verify;
mod volumes;
mod walls;
mod watching;

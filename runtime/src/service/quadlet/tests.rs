//! Quadlets: every key, every way to be refused.

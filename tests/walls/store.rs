//! The store and the shared checkout are read-only to every container.

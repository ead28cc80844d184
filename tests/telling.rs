//! What berth tells of containers: `ps`, `inspect`, `--format`; and what changes only what it tells: `rename`, `prune`, `rm`.

mod formats;
mod inspect;
mod port;
mod ps;
mod removing;

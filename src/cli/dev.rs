//! `shelfwise dev`: a whole installation on a developer's machine, from nothing.

pub mod cluster;
pub mod database;

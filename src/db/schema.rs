//! The tables of both planes, kept in step with the migrations by a test. No table of one is joinable with the other's.

pub mod control;
pub mod tenant;

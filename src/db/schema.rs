//! The tables of both planes, kept in step with the migrations by a test. No table of one is joinable with the other's.

#![expect(missing_docs, reason = "columns are documented where they are made: in the migrations")]

pub mod control;
pub mod tenant;

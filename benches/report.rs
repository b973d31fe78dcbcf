//! What a benchmark has found, a line a figure, for the table that `script/bench` makes of all of them.

use std::fmt;
use std::ops::{Bound, RangeBounds};

/// Prints a figure, and whether it is within its bar: `..` where there is none, `0.7..` for at least, `..=10.0` for at most.
pub fn report(name: impl fmt::Display, value: f64, unit: &str, bar: impl RangeBounds<f64>) {
    let limit = match (bar.start_bound(), bar.end_bound()) {
        (Bound::Included(least), _) => format!("at least {least}"),
        (_, Bound::Included(most)) => format!("at most {most}"),
        _ => "-".to_owned(),
    };
    let held = match limit.as_str() {
        "-" => "-",
        _ if bar.contains(&value) => "held",
        _ => "MISSED",
    };
    println!("BENCH {name} | {} | {unit} | {limit} | {held}", digits(value));
}

/// A number with three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

//! What else was tried, so that the choices of the judges can be measured again.

mod capital;
mod metrics;
mod statistics;

/// Prints all tables.
pub fn tables() {
    capital::table();
    metrics::table();
    statistics::table();
}

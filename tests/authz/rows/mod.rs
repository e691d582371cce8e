//! The rows, by area. A new route gets its row here.

mod auth;
mod inference;
mod market;
mod me;
mod orgs;
mod projects;
mod service;
mod talk;

use crate::row::Row;

/// Every row.
pub fn rows() -> Vec<Row> {
    let areas = [
        service::rows(),
        auth::rows(),
        me::rows(),
        orgs::rows(),
        projects::rows(),
        inference::rows(),
        market::rows(),
        talk::rows(),
    ];
    areas.into_iter().flatten().collect()
}

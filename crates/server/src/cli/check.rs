//! `haithe ledger check`

use super::{Outcome, Ran, briefly, say};
use crate::{Config, wiring};

pub(super) fn ledger(config: &Config) -> Ran {
    briefly(async {
        let report = wiring::ledger_check(config).await?.run().await?;
        say(&report.to_string());
        Ok(if report.is_clean() {
            Outcome::Good
        } else {
            Outcome::Bad
        })
    })?
}

//! `haithe revoke`

use super::{Outcome, Ran, briefly, say};
use crate::{Config, wiring};
use clap::Args;
use haithe_kernel::Timestamp;

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// RFC 3339, such as 2026-01-31T12:00:00Z: everything issued before this time is revoked
    #[arg(long)]
    before: Timestamp,
}

pub(super) fn run(args: &RevokeArgs, config: &Config) -> Ran {
    briefly(async {
        let revoked = wiring::revoke_before(config, args.before).await?;
        say(&format!(
            "revoked {} API keys and {} sessions issued before {}",
            revoked.api_keys, revoked.sessions, args.before
        ));
        Ok(Outcome::Good)
    })?
}

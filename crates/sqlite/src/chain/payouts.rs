//! What creators and the platform took out of the orchestrator, booked once final.

use super::{read_event, select_events, step::Indexing};
use haithe_billing::{
    chain::EventBody,
    ledger::{Account, Entry, Transfer},
};
use haithe_kernel::StoreError;

/// Books payouts in the blocks that have just become final.
pub(super) async fn finish(
    indexing: &mut Indexing<'_, '_>,
    before: i64,
    last_final: i64,
) -> Result<(), StoreError> {
    let newly = select_events!(
        "WHERE block > ? AND block <= ? AND kind IN ('creator_withdrawn', 'platform_withdrawn')
         ORDER BY block, log_index"
    );
    for row in indexing
        .write
        .all(sqlx::query(newly).bind(before).bind(last_final))
        .await?
    {
        let stored = read_event(&row)?;
        let (account, amount) = match stored.event.body {
            EventBody::CreatorWithdrawn { creator, amount } => (Account::Creator(creator), amount),
            EventBody::PlatformWithdrawn { amount, .. } => (Account::Platform, amount),
            _ => continue,
        };
        let Some((amount, 0)) = indexing.scale.money(amount) else {
            let detail = format!("a payout from {account} is no amount that was ever credited");
            indexing
                .write
                .alarm("payout_out_of_range", &stored, detail)
                .await?;
            continue;
        };
        let entry = Entry {
            key: format!("payout/{}", stored.name()),
            at: stored.event.block_time,
            block: Some(stored.event.block),
            transfers: vec![Transfer::new(account, Account::ChainOrchestrator, amount)],
        };
        indexing.write.book(entry).await?;
    }
    Ok(())
}

//! One step of the index.

use super::{batches, blocks::Counted, deposits, directory, payouts, products, roles::Sight, withdrawals};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
    ledger::{facts::OrgFacts, memory::day_of, scale::Scale},
};
use haithe_billing::chain::{BlockRef, EventBody, IndexStep, StepEffects};
use haithe_kernel::{OrgId, StoreError, WalletAddress};
use std::collections::BTreeSet;

/// What a step carries along.
pub(super) struct Indexing<'w, 'c> {
    pub(super) write: &'w mut WriteTx<'c>,
    pub(super) scale: Scale,
    /// Organizations whose facts must be read again.
    pub(super) touched: BTreeSet<OrgId>,
    pub(super) effects: StepEffects,
}

impl Indexing<'_, '_> {
    /// The organization at this address, as the indexed chain stands.
    pub(super) async fn org_at(&mut self, address: WalletAddress) -> Result<Option<OrgId>, StoreError> {
        let find = "SELECT id FROM organizations WHERE address = ? AND on_chain = 1";
        let row = self
            .write
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.map(|row| Columns::of(&row).read("organizations.id"))
            .transpose()
    }

    /// Brings the memory's view of the touched organizations, and of the day, up to date.
    pub(super) async fn finish(self, to: BlockRef) -> Result<StepEffects, StoreError> {
        for org in self.touched {
            let facts = OrgFacts::read(self.write.connection, org, self.scale).await?;
            self.write.effects.facts.push((org, facts));
        }
        self.write.effects.chain_day = Some(day_of(to.time));
        Ok(self.effects)
    }
}

pub(super) async fn apply(
    write: &mut WriteTx<'_>,
    scale: Scale,
    step: IndexStep,
) -> Result<StepEffects, StoreError> {
    let before = write.counted().await?;
    let mut indexing = Indexing {
        write,
        scale,
        touched: BTreeSet::new(),
        effects: StepEffects::default(),
    };
    indexing.write.remember(&step.blocks, step.to).await?;
    let mut new = Vec::new();
    for event in step.events {
        new.extend(indexing.write.store_event(event).await?);
    }
    indexing.effects.new_events = new.len().try_into().unwrap_or(u64::MAX);

    // Directory first: a deposit may come in the same step as the organization it is for.
    for stored in &new {
        directory::see(&mut indexing, stored, Sight::First).await?;
    }
    products::raise_prices(&mut indexing, step.to.time).await?;
    for stored in &new {
        match &stored.event.body {
            EventBody::Transfer { .. } | EventBody::OrganizationFunded { .. } => {
                deposits::see(&mut indexing, stored).await?;
            }
            EventBody::WithdrawalRequested { .. }
            | EventBody::WithdrawalExecuted { .. }
            | EventBody::WithdrawalCancelled { .. } => withdrawals::see(&mut indexing, stored).await?,
            EventBody::LineSkipped { .. } | EventBody::BatchSettled { .. } => {
                batches::see(&mut indexing, stored).await?;
            }
            _ => {}
        }
    }

    let now = Counted {
        confirmed: before
            .confirmed
            .max(columns::number(step.confirmed, "chain_binding.confirmed")?),
        last_final: before
            .last_final
            .max(columns::number(step.last_final, "chain_binding.last_final")?),
    };
    indexing.write.set_counted(now).await?;
    deposits::confirm(&mut indexing, now.confirmed).await?;
    batches::finish(&mut indexing, now.last_final).await?;
    withdrawals::finish(&mut indexing, now.last_final).await?;
    payouts::finish(&mut indexing, before.last_final, now.last_final).await?;
    indexing.finish(step.to).await
}

//! Rows of the directory and the marketplace: they follow their events at first sight.
//!
//! An event means the same whether it is seen for the first time or replayed after a rewind: it says
//! what is so from now on, never what changed.

use super::{
    Stored, organizations, products, read_event, roles, roles::Sight, select_events, step::Indexing,
};
use crate::columns;
use haithe_billing::chain::EventBody;
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use std::collections::BTreeSet;

/// Lets the rows follow.
pub(super) async fn see(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    sight: Sight,
) -> Result<(), StoreError> {
    match &stored.event.body {
        EventBody::OrganizationCreated { .. } => organizations::create(indexing, stored).await,
        EventBody::OwnershipOffered { org, to } => organizations::offered(indexing, *org, *to).await,
        EventBody::OwnershipTransferred { org, to, .. } => {
            organizations::owner(indexing, *org, *to).await?;
            match sight {
                Sight::First => roles::see_owner(indexing, stored, sight).await,
                Sight::Again => Ok(()),
            }
        }
        EventBody::RoleChanged { .. } => roles::see(indexing, stored, sight).await,
        EventBody::DailyCapChanged { org, cap, .. } => organizations::daily_cap(indexing, *org, *cap).await,
        EventBody::ProductEnabled {
            org,
            product,
            max_price,
        } => products::enable(indexing, *org, *product, *max_price).await,
        EventBody::ProductDisabled { org, product } => products::disable(indexing, *org, *product).await,
        EventBody::ProductAdded { .. } => products::add(indexing, stored).await,
        EventBody::PriceChanged { product, price } => products::price(indexing, *product, *price).await,
        EventBody::PriceScheduled { .. } => products::schedule_price(indexing, stored).await,
        EventBody::UriChanged { product, uri } => products::uri(indexing, *product, uri.clone()).await,
        EventBody::ProductRetired { product } => products::retire(indexing, *product).await,
        EventBody::CreatorRegistered { .. } => products::register_creator(indexing, stored).await,
        EventBody::PayoutAddressProposed { .. } | EventBody::PayoutAddressCancelled { .. } => {
            products::payout_address(indexing, stored).await
        }
        EventBody::OrganizationFunded { .. }
        | EventBody::WithdrawalRequested { .. }
        | EventBody::WithdrawalExecuted { .. }
        | EventBody::WithdrawalCancelled { .. }
        | EventBody::CreatorWithdrawn { .. }
        | EventBody::BatchSettled { .. }
        | EventBody::LineSkipped { .. }
        | EventBody::PlatformWithdrawn { .. }
        | EventBody::ServerChanged { .. }
        | EventBody::Paused
        | EventBody::Unpaused
        | EventBody::Transfer { .. } => Ok(()),
    }
}

/// Whose rows a rewind must derive again.
#[derive(Default)]
pub(super) struct Affected {
    subjects: BTreeSet<WalletAddress>,
    /// Members whose role an event above changed. Others keep what people made of it since.
    members: BTreeSet<(WalletAddress, WalletAddress)>,
}

impl Affected {
    /// Reads it from the events above a block, before they are forgotten.
    pub(super) async fn above(
        indexing: &mut Indexing<'_, '_>,
        block: i64,
        time: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut affected = Self::default();
        // A rise came into force without an event of its own.
        affected
            .subjects
            .extend(products::risen_after(indexing, time).await?);
        let above = select_events!("WHERE block > ? AND subject IS NOT NULL ORDER BY block, log_index");
        for row in indexing.write.all(sqlx::query(above).bind(block)).await? {
            let stored = read_event(&row)?;
            match stored.event.body {
                EventBody::RoleChanged { org, wallet, .. }
                | EventBody::OwnershipTransferred { org, to: wallet, .. } => {
                    affected.subjects.insert(org);
                    affected.members.insert((org, wallet));
                    roles::keep_overruled(indexing, org, wallet, &stored).await?;
                }
                EventBody::OrganizationCreated { org, .. }
                | EventBody::OwnershipOffered { org, .. }
                | EventBody::DailyCapChanged { org, .. }
                | EventBody::ProductEnabled { org, .. }
                | EventBody::ProductDisabled { org, .. } => {
                    affected.subjects.insert(org);
                }
                EventBody::ProductAdded { product, .. }
                | EventBody::PriceChanged { product, .. }
                | EventBody::PriceScheduled { product, .. }
                | EventBody::UriChanged { product, .. }
                | EventBody::ProductRetired { product } => {
                    affected.subjects.insert(product);
                }
                EventBody::CreatorRegistered { creator, .. }
                | EventBody::PayoutAddressProposed { creator, .. }
                | EventBody::PayoutAddressCancelled { creator } => {
                    affected.subjects.insert(creator);
                }
                _ => {}
            }
        }
        Ok(affected)
    }

    /// Derives the rows again from the events that remain.
    pub(super) async fn derive(self, indexing: &mut Indexing<'_, '_>) -> Result<(), StoreError> {
        for (org, wallet) in &self.members {
            roles::forget(indexing, *org, *wallet).await?;
        }
        for subject in &self.subjects {
            organizations::forget(indexing, *subject).await?;
            products::forget(indexing, *subject).await?;
        }
        let mut remaining = Vec::new();
        for subject in &self.subjects {
            let of_subject = select_events!("WHERE subject = ? AND kind <> 'transfer'");
            let statement = sqlx::query(of_subject).bind(columns::address(*subject));
            for row in indexing.write.all(statement).await? {
                remaining.push(read_event(&row)?);
            }
        }
        // In the order of the chain: an organization enables a product after it was added.
        remaining.sort_unstable_by_key(|stored| (stored.event.block, stored.event.log_index));
        for stored in remaining {
            match stored.event.body {
                EventBody::RoleChanged { org, wallet, .. } if !self.members.contains(&(org, wallet)) => {}
                EventBody::OwnershipTransferred { org, to, .. } if self.members.contains(&(org, to)) => {
                    see(indexing, &stored, Sight::Again).await?;
                    roles::see_owner(indexing, &stored, Sight::Again).await?;
                }
                _ => see(indexing, &stored, Sight::Again).await?,
            }
        }
        Ok(())
    }
}

//! [`ChainReader`] on the model chain, and [`ChainIndex`] on the model store.

use super::{Access, Port};
use crate::{
    store::index::ModelTransaction,
    world::{World, ready},
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{self, BlockRef, ChainError, ChainEvent, EventBody, IndexStep, StepEffects},
    ports::{ChainIndex, ChainReader},
};
use haithe_kernel::{StoreError, TokenUnits, WalletAddress};
use std::time::Duration;

impl Port {
    /// One question to the node.
    ///
    /// # Errors
    /// The node does not respond.
    pub async fn node<R: Send>(
        &self,
        question: impl FnOnce(&mut World) -> R + Send,
    ) -> Result<R, ChainError> {
        self.world.pause().await;
        let answer = {
            let mut world = self.world.lock();
            if world.chain.is_away {
                return Err(ChainError::unavailable("the node does not respond"));
            }
            question(&mut world)
        };
        self.world.pause().await;
        Ok(answer)
    }
}

/// [`ChainReader`] and [`ChainIndex`] of an instance.
#[derive(Clone)]
pub struct ChainPort(pub Port);

#[async_trait]
impl ChainReader for ChainPort {
    async fn head(&self) -> Result<BlockRef, ChainError> {
        self.0.node(|world| world.chain.head().reference).await
    }

    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        self.0.node(|world| world.chain.block(number)).await
    }

    async fn events(
        &self,
        from: u64,
        to: u64,
        orgs: Vec<WalletAddress>,
    ) -> Result<Vec<ChainEvent>, ChainError> {
        let mut events = self.0.node(|world| world.chain.events(from, to)).await?;
        let created: Vec<WalletAddress> = events
            .iter()
            .filter_map(|event| match event.body {
                EventBody::OrganizationCreated { org, .. } => Some(org),
                _ => None,
            })
            .collect();
        let is_known = |address: &WalletAddress| orgs.contains(address) || created.contains(address);
        events.retain(|event| match &event.body {
            EventBody::Transfer { from, to, .. } => is_known(from) || is_known(to),
            _ => true,
        });
        Ok(events)
    }

    async fn token_balances(
        &self,
        _: Vec<WalletAddress>,
        _: Option<u64>,
    ) -> Result<Vec<TokenUnits>, ChainError> {
        Err(ChainError::unavailable("not part of the simulation"))
    }
}

impl World {
    /// Runs a transaction of the index, and lets the ledger in memory follow.
    fn index<R>(
        &mut self,
        instance: usize,
        to: BlockRef,
        rules: impl FnOnce(&mut ModelTransaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut transaction = ModelTransaction::new(&mut self.store);
        let output = rules(&mut transaction);
        let ModelTransaction {
            touched, transfers, ..
        } = transaction;
        if let Err(error) = &output {
            let detail = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            self.violate("the index can be written", detail);
        }
        if let Some(ledger) = &mut self.instances[instance].ledger {
            ledger.apply(transfers);
            for org in self.store.org_ids() {
                ledger.add_organization(org, self.store.money(org));
            }
            for org in touched {
                ledger.set_facts(org, self.store.facts(org));
            }
            ledger.set_chain_time(to.time);
        }
        output
    }
}

#[async_trait]
impl ChainIndex for ChainPort {
    async fn bind(&self, _: u64, _: WalletAddress, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn withdrawal_delay(&self) -> Result<Option<Duration>, StoreError> {
        Ok(Some(crate::contract::WITHDRAWAL_DELAY))
    }

    async fn record_withdrawal_delay(&self, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError> {
        self.0
            .request(Access::Read, |world| world.store.checkpoint())
            .await
    }

    async fn recent(&self, limit: u32) -> Result<Vec<BlockRef>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.0
            .request(Access::Read, |world| world.store.recent(limit))
            .await
    }

    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError> {
        self.0
            .request(Access::Read, |world| world.store.contracts())
            .await
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let number = self.0.instance;
        let applied = self.0.request(Access::Background, move |world| {
            let (decimals, to) = (world.store.decimals(), step.to);
            let effects = world.index(number, to, |tx| ready(chain::apply(tx, decimals, step)));
            if let Ok(effects) = &effects
                && (effects.new_events > 0 || effects.batches_final > 0 || effects.deposits_confirmed > 0)
            {
                world.log(format_args!(
                    "instance {number} indexes to block {}: {effects:?}",
                    to.number
                ));
            }
            effects
        });
        applied.await?
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let number = self.0.instance;
        let rewound = self.0.request(Access::Background, move |world| {
            let decimals = world.store.decimals();
            world.log(format_args!("instance {number} rewinds to block {}", to.number));
            world.index(number, to, |tx| ready(chain::rewind(tx, decimals, to)))
        });
        rewound.await?
    }
}

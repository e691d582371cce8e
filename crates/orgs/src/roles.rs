//! Roles on chain: what a contract should say, what it says, and who can make the two agree.
//!
//! A role decided here holds here at once. The contract is told by the server for roles below
//! administrator, and by the owner's own transaction for the others. What the contract says is only
//! ever learnt from the index. [`RoleMirroring`] compares the two: nothing has to be remembered
//! between a decision and its transaction, so nothing can be lost.

mod newest;

pub use newest::{ChainRoleChange, RoleDecision, Sight, chain_is_newest};

use crate::{
    model::OrgRole,
    ports::{RoleMirror, RoleStore},
};
use haithe_kernel::{OrgId, StoreError, WalletAddress};
use std::sync::Arc;

/// A role as the contract knows it. The owner needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChainRole {
    /// `NONE`
    #[default]
    None,
    /// `MEMBER`
    Member,
    /// `ADMIN`
    Admin,
}

impl ChainRole {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The contract's number.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Member => 1,
            Self::Admin => 2,
        }
    }

    /// By the contract's number.
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Member),
            2 => Some(Self::Admin),
            _ => None,
        }
    }
}

impl From<ChainRole> for Option<OrgRole> {
    fn from(role: ChainRole) -> Self {
        match role {
            ChainRole::None => None,
            ChainRole::Member => Some(OrgRole::Member),
            ChainRole::Admin => Some(OrgRole::Admin),
        }
    }
}

impl From<Option<OrgRole>> for ChainRole {
    fn from(role: Option<OrgRole>) -> Self {
        match role {
            None => Self::None,
            Some(OrgRole::Member) => Self::Member,
            Some(OrgRole::Admin) => Self::Admin,
        }
    }
}

/// A decision about a role that the contract may not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// The organization.
    pub org: OrgId,
    /// Its contract.
    pub contract: WalletAddress,
    /// Whether the wallet owns the contract, which then gives it no role.
    pub owns: bool,
    /// Whose role.
    pub address: WalletAddress,
    /// What it should be.
    pub wanted: ChainRole,
    /// What the contract says.
    pub seen: ChainRole,
    /// Counts the decisions about this wallet.
    pub version: u64,
    /// The newest version that was handed to the outbox.
    pub sent: Option<u64>,
    /// Whose decision it is, and on whose budget its gas goes.
    pub decided_by: WalletAddress,
}

/// Who can make contract and decision agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nobody has to.
    Agreed,
    /// The server.
    Server,
    /// The owner's wallet: the server neither makes nor unmakes administrators.
    Owner,
}

/// Who can make the contract say `wanted` where it says `seen`.
pub fn course(wanted: ChainRole, seen: ChainRole) -> Course {
    if wanted == seen {
        Course::Agreed
    } else if wanted == ChainRole::Admin || seen == ChainRole::Admin {
        Course::Owner
    } else {
        Course::Server
    }
}

/// How far the outbox is with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrored {
    /// Its transaction is written, or on its way, or in a block that the index has not reached.
    UnderWay,
    /// A budget is spent, or the contract refused it a while ago: later.
    Waiting,
    /// The contract refused it again and again.
    GivenUp,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "counters, named as in Mirrored")]
pub struct MirrorProgress {
    pub settled: u64,
    pub under_way: u64,
    pub waiting: u64,
    pub given_up: u64,
}

/// Changes looked at in one step.
const STEP: u32 = 200;

/// Use case: sees decisions into the contracts, one transaction per change at most.
pub struct RoleMirroring {
    store: Arc<dyn RoleStore>,
    mirror: Arc<dyn RoleMirror>,
}

impl RoleMirroring {
    /// Composes the use case.
    pub fn new(store: Arc<dyn RoleStore>, mirror: Arc<dyn RoleMirror>) -> Self {
        Self { store, mirror }
    }

    /// Looks at the oldest open decisions and moves each as far as it goes without waiting. A crash
    /// at any point repeats a step and never doubles a transaction.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&self) -> Result<MirrorProgress, StoreError> {
        let mut progress = MirrorProgress::default();
        for change in self.store.open(STEP).await? {
            // A transaction of an earlier decision comes first, whatever it says: what the contract
            // says is not known before it is done.
            let earlier = change.sent.filter(|sent| *sent != change.version);
            if let Some(earlier) = earlier
                && self.mirror.is_under_way(&change, earlier).await?
            {
                progress.under_way += 1;
                continue;
            }
            let course = if change.owns {
                Course::Agreed
            } else {
                course(change.wanted, change.seen)
            };
            if course != Course::Server {
                // The one of this very decision may still be in a block that can be taken back.
                if change.sent == Some(change.version)
                    && self.mirror.is_under_way(&change, change.version).await?
                {
                    progress.under_way += 1;
                    continue;
                }
                progress.settled += u64::from(self.settle(&change).await?);
                continue;
            }
            if change.sent != Some(change.version) {
                self.store
                    .note_sent(change.org, change.address, change.version)
                    .await?;
            }
            match self.mirror.mirror(&change).await? {
                Mirrored::UnderWay => progress.under_way += 1,
                Mirrored::Waiting => progress.waiting += 1,
                Mirrored::GivenUp => {
                    tracing::warn!(
                        org = %change.org,
                        wallet = %change.address,
                        wanted = change.wanted.as_str(),
                        "a role could not be mirrored on chain and is given up"
                    );
                    self.settle(&change).await?;
                    progress.given_up += 1;
                }
            }
        }
        Ok(progress)
    }

    async fn settle(&self, change: &RoleChange) -> Result<bool, StoreError> {
        self.store
            .settle(change.org, change.address, change.version)
            .await
    }
}

#[cfg(test)]
mod tests;

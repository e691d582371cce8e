//! What addresses are on chain now, for the statistics.

use crate::{columns, write::WriteTx};
use haithe_kernel::{StoreError, WalletAddress};

/// What a contract is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// An organization's.
    Organization,
    /// A product's.
    Product,
}

impl Listing {
    /// The word in storage.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Product => "product",
        }
    }
}

impl WriteTx {
    /// Notes that there is an organization or a product at the address. Its first event may come before or after.
    pub(super) async fn list(&mut self, address: WalletAddress, listing: Listing) -> Result<(), StoreError> {
        let list = "INSERT INTO chain_counts (subject, transactions, listed) VALUES ($1, 0, $2)
                    ON CONFLICT (subject) DO UPDATE SET listed = excluded.listed";
        let statement = sqlx::query(list)
            .bind(columns::address(address))
            .bind(listing.as_str());
        self.execute(statement).await.map(drop)
    }
}

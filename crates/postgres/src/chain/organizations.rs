//! Rows of organizations: themselves, their owners, their books.

use super::listing::Listing;
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::{
    chain::{ChainAmount, CreatedOrganization, Located, OrgBalances},
    ledger::Account,
};
use haithe_kernel::{OrgId, StoreError, Usdt, WalletAddress};

/// A balance; an account that is not there has the balance zero.
fn balance(columns: &Columns<'_>, name: &str) -> Result<Usdt, StoreError> {
    let balance: Option<Usdt> = columns.get_as(name, "ledger_accounts.balance")?;
    Ok(balance.unwrap_or(Usdt::ZERO))
}

/// The organization's address has no organization now.
const UNLIST: &str = "
    UPDATE chain_counts SET listed = NULL WHERE subject = (SELECT address FROM organizations WHERE id = $1)";

impl WriteTx {
    /// The organization at the address, on the indexed chain.
    pub(super) async fn organization_at(
        &mut self,
        address: WalletAddress,
    ) -> Result<Option<Located<OrgId>>, StoreError> {
        let find = "SELECT id, created_tx FROM organizations WHERE address = $1 AND on_chain";
        let row = self
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.map(|row| {
            let columns = Columns::of(&row);
            Ok(Located {
                id: columns.get("organizations.id")?,
                created_tx: columns.get("organizations.created_tx")?,
            })
        })
        .transpose()
    }

    /// An organization's balances on disk.
    pub(super) async fn org_balances(&mut self, org: OrgId) -> Result<OrgBalances, StoreError> {
        let balances = "SELECT (SELECT balance FROM ledger_accounts WHERE name = $1) AS chain,
                               (SELECT balance FROM ledger_accounts WHERE name = $2) AS available,
                               (SELECT balance FROM ledger_accounts WHERE name = $3) AS unsettled,
                               (SELECT balance FROM ledger_accounts WHERE name = $4) AS withdrawing,
                               (SELECT dust FROM org_books WHERE org_id = $5) AS dust";
        let statement = sqlx::query(balances)
            .bind(Account::ChainOrg(org).to_string())
            .bind(Account::Available(org).to_string())
            .bind(Account::Unsettled(org).to_string())
            .bind(Account::Withdrawing(org).to_string())
            .bind(org.0);
        let row = self.optional(statement).await?;
        let row = row.ok_or(StoreError::inconsistent("ledger_accounts.balance"))?;
        let columns = Columns::of(&row);
        let dust: Option<i64> = columns.get("org_books.dust")?;
        Ok(OrgBalances {
            chain: balance(&columns, "chain")?,
            available: balance(&columns, "available")?,
            unsettled: balance(&columns, "unsettled")?,
            withdrawing: balance(&columns, "withdrawing")?,
            dust: dust.unwrap_or(0),
        })
    }

    /// Stores an organization, or shows a stored one on chain again. One that is new gets its books and accounts.
    pub(super) async fn create_organization(
        &mut self,
        created: CreatedOrganization,
    ) -> Result<(), StoreError> {
        self.list(created.address, Listing::Organization).await?;
        let insert = "INSERT INTO organizations
                          (organization_uid, address, created_tx, orchestrator_index, chain_name, name, owner,
                           created_at, created_block, on_chain)
                      VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, TRUE)
                      ON CONFLICT (address, created_tx) DO UPDATE SET
                          orchestrator_index = excluded.orchestrator_index, owner = excluded.owner,
                          created_at = excluded.created_at, created_block = excluded.created_block, on_chain = TRUE
                      RETURNING id";
        let statement = sqlx::query(insert)
            .bind(columns::uuid(created.uid.uuid()))
            .bind(columns::address(created.address))
            .bind(created.created_tx.to_vec())
            .bind(columns::number(
                created.index,
                "organizations.orchestrator_index",
            )?)
            .bind(columns::text(created.name))
            .bind(columns::address(created.owner))
            .bind(created.created_at.micros())
            .bind(columns::number(created.block, "organizations.created_block")?);
        let row = self.one(statement).await?;
        self.directory_changed();
        self.open_books(Columns::of(&row).get("organizations.id")?)
            .await
            .map(drop)
    }

    pub(super) async fn replace_organization(&mut self, org: OrgId) -> Result<(), StoreError> {
        self.directory_changed();
        for replace in ["UPDATE organizations SET on_chain = FALSE WHERE id = $1", UNLIST] {
            self.execute(sqlx::query(replace).bind(org.0)).await?;
        }
        Ok(())
    }

    pub(super) async fn hide_organization(&mut self, org: OrgId) -> Result<(), StoreError> {
        for hide in [
            "UPDATE organizations SET on_chain = FALSE, pending_owner = NULL WHERE id = $1",
            "UPDATE org_books SET daily_cap = NULL WHERE org_id = $1",
            "DELETE FROM org_products WHERE org_id = $1",
            UNLIST,
        ] {
            self.execute(sqlx::query(hide).bind(org.0)).await?;
        }
        self.directory_changed();
        Ok(())
    }

    pub(super) async fn set_owner(&mut self, org: OrgId, owner: WalletAddress) -> Result<(), StoreError> {
        let update = "UPDATE organizations SET owner = $1, pending_owner = NULL WHERE id = $2";
        let statement = sqlx::query(update).bind(columns::address(owner)).bind(org.0);
        self.directory_changed();
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn offer_ownership(
        &mut self,
        org: OrgId,
        to: Option<WalletAddress>,
    ) -> Result<(), StoreError> {
        let update = "UPDATE organizations SET pending_owner = $1 WHERE id = $2";
        let statement = sqlx::query(update).bind(to.map(columns::address)).bind(org.0);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn set_daily_cap(&mut self, org: OrgId, cap: ChainAmount) -> Result<(), StoreError> {
        let update = "UPDATE org_books SET daily_cap = $1 WHERE org_id = $2";
        let statement = sqlx::query(update)
            .bind(cap.map(|cap| cap.to_string()))
            .bind(org.0);
        self.execute(statement).await.map(drop)
    }
}

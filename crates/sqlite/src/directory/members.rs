//! [`OrgMemberStore`] on SQLite: members of organizations.

use super::{
    audit::Line,
    organizations::{SqliteOrgStore, org_role},
    roles::chain_role,
};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, StoreError, WalletAddress};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    members::Judge,
    model::{OrgMember, OrgRole},
    ports::OrgMemberStore,
};
use sqlx::sqlite::SqliteRow;

/// The columns that [`read`] reads.
macro_rules! select_members {
    ($rest:literal) => {
        concat!(
            "SELECT org_id, wallet_address, role, org_members.created_at,
                    (SELECT chain.role FROM org_chain_roles AS chain
                     WHERE chain.org_id = org_members.org_id
                       AND chain.wallet_address = org_members.wallet_address) AS chain_role
             FROM org_members ",
            $rest
        )
    };
}

const ONE: &str = select_members!("WHERE org_id = ? AND wallet_address = ?");

fn read(row: &SqliteRow) -> Result<OrgMember, StoreError> {
    let columns = Columns::of(row);
    Ok(OrgMember {
        org: columns.get("org_members.org_id")?,
        address: columns.get("org_members.wallet_address")?,
        role: org_role(columns.get("org_members.role")?)?
            .ok_or(StoreError::inconsistent("org_members.role"))?,
        created_at: columns.get("org_members.created_at")?,
        on_chain: chain_role(columns.get_as("chain_role", "org_chain_roles.role")?)?,
    })
}

async fn list(
    db: &Db,
    org: OrgId,
    role: Option<OrgRole>,
    page: Page,
) -> Result<Listed<OrgMember>, StoreError> {
    let count = "SELECT count(*) AS count FROM org_members
                 WHERE org_id = ?1 AND (?2 IS NULL OR role = ?2)
                   AND wallet_address <> (SELECT owner FROM organizations WHERE id = ?1)";
    let members = select_members!(
        "WHERE org_id = ?1 AND (?2 IS NULL OR role = ?2)
           AND wallet_address <> (SELECT owner FROM organizations WHERE id = ?1)
         ORDER BY org_members.created_at DESC, wallet_address LIMIT ?3 OFFSET ?4"
    );
    let role = role.map(OrgRole::as_str);
    let count = sqlx::query(count).bind(org.0).bind(role);
    let members = sqlx::query(members).bind(org.0).bind(role);
    let members = members.bind(page.limit()).bind(page.offset());
    db.listed(count, members, read).await
}

async fn one(
    write: &mut WriteTx<'_>,
    org: OrgId,
    address: WalletAddress,
) -> Result<Option<OrgMember>, StoreError> {
    let one = sqlx::query(ONE).bind(org.0).bind(columns::address(address));
    write.optional(one).await?.as_ref().map(read).transpose()
}

async fn put(
    write: &mut WriteTx<'_>,
    org: OrgId,
    address: WalletAddress,
    role: OrgRole,
    judge: Judge<OrgRole>,
    act: &Act,
) -> Result<OrgMember, OrgError> {
    let before = one(write, org, address).await?;
    let present = before.as_ref().map(|member| member.role);
    judge(write.facts(org, None, act.by.address, present).await?)?;
    let put = "INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain) VALUES (?, ?, ?, ?, 0)
               ON CONFLICT DO UPDATE SET role = excluded.role, from_chain = 0";
    let statement = sqlx::query(put)
        .bind(org.0)
        .bind(columns::address(address))
        .bind(role.as_str())
        .bind(act.at.micros());
    write.execute(statement).await?;
    write.decide_role(org, address, Some(role), act).await?;
    write.directory_changed();
    let line = match before {
        None => Some(Line::of(org, AuditAction::MemberAdded)),
        Some(before) if before.role != role => {
            Some(Line::of(org, AuditAction::MemberChanged).before(before.role))
        }
        Some(_) => None,
    };
    if let Some(line) = line {
        write.audit(act, line.subject(address).after(role)).await?;
    }
    let member = one(write, org, address).await?;
    Ok(member.ok_or(StoreError::inconsistent("org_members.org_id"))?)
}

async fn remove(
    write: &mut WriteTx<'_>,
    org: OrgId,
    address: WalletAddress,
    judge: Judge<OrgRole>,
    act: &Act,
) -> Result<Option<OrgMember>, OrgError> {
    let before = one(write, org, address).await?;
    let present = before.as_ref().map(|member| member.role);
    judge(write.facts(org, None, act.by.address, present).await?)?;
    let Some(removed) = before else {
        return Ok(None);
    };
    let remove = "DELETE FROM org_members WHERE org_id = ? AND wallet_address = ?";
    let remove = sqlx::query(remove).bind(org.0).bind(columns::address(address));
    write.execute(remove).await?;
    let in_projects = "DELETE FROM project_members
                       WHERE wallet_address = ? AND project_id IN (SELECT id FROM projects WHERE org_id = ?)";
    let in_projects = sqlx::query(in_projects)
        .bind(columns::address(address))
        .bind(org.0);
    write.execute(in_projects).await?;
    write.decide_role(org, address, None, act).await?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::MemberRemoved);
    write
        .audit(act, line.subject(address).before(removed.role))
        .await?;
    Ok(Some(removed))
}

#[async_trait]
impl OrgMemberStore for SqliteOrgStore {
    async fn members(
        &self,
        org: OrgId,
        role: Option<OrgRole>,
        page: Page,
    ) -> Result<Listed<OrgMember>, StoreError> {
        list(&self.db, org, role, page).await
    }

    async fn put_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        role: OrgRole,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<OrgMember, OrgError> {
        self.db
            .write(move |write| Box::pin(async move { put(write, org, address, role, judge, &act).await }))
            .await
    }

    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<Option<OrgMember>, OrgError> {
        self.db
            .write(move |write| Box::pin(async move { remove(write, org, address, judge, &act).await }))
            .await
    }

    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError> {
        let role = "SELECT role FROM org_members WHERE org_id = ? AND wallet_address = ?";
        let row = self
            .db
            .optional(sqlx::query(role).bind(org.0).bind(columns::address(address)))
            .await?;
        row.map_or(Ok(None), |row| {
            org_role(Columns::of(&row).get("org_members.role")?)
        })
    }
}

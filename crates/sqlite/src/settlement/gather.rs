//! What goes into the next batch.

use crate::{columns::Columns, db::WriteTx};
use haithe_billing::{
    batch::{BatchItem, CarryKey, SealPolicy},
    capture::Payee,
    ports::SealInput,
};
use haithe_kernel::{OrgId, StoreError, Usdt};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What a batch is built from, and the usage records behind its items, in the same order.
pub(super) struct Gathered {
    pub(super) input: SealInput,
    pub(super) usage: Vec<i64>,
}

/// Gathers waiting calls, oldest first. Those of suspended organizations come after all others:
/// they would only be skipped again, and must keep nobody else waiting.
pub(super) async fn gather(
    write: &mut WriteTx<'_>,
    policy: &SealPolicy,
    suspended: &HashSet<OrgId>,
) -> Result<Option<Gathered>, StoreError> {
    let waiting = waiting_orgs(write).await?;
    let (last, first): (Vec<OrgId>, Vec<OrgId>) =
        waiting.into_iter().partition(|org| suspended.contains(org));
    let lines = usize::try_from(policy.max_lines).unwrap_or(usize::MAX);
    let mut selection = Selection::new(policy);
    let mut orgs: Vec<OrgId> = first.into_iter().take(lines).collect();
    selection.add(items(write, &orgs, selection.room()).await?);
    let more: Vec<OrgId> = last.into_iter().take(lines.saturating_sub(orgs.len())).collect();
    if !more.is_empty() && selection.room() > 0 {
        selection.add(items(write, &more, selection.room()).await?);
        orgs.extend(more);
    }
    if selection.items.is_empty() {
        return Ok(None);
    }
    let carry = carry(write, &orgs).await?;
    let payees = selection
        .items
        .iter()
        .flat_map(|item| item.credits.iter().map(|(payee, _)| *payee));
    let payees = payees.chain(carry.iter().map(|(key, _)| key.payee));
    let payees: BTreeSet<OrgId> = payees
        .filter_map(|payee| match payee {
            Payee::Organization(org) => Some(org),
            Payee::Platform | Payee::Creator(_) => None,
        })
        .collect();
    let input = SealInput {
        items: selection.items,
        carry,
        payee_orgs: contracts(write, &payees).await?,
    };
    Ok(Some(Gathered {
        input,
        usage: selection.usage,
    }))
}

/// Organizations with calls that wait, by their oldest.
async fn waiting_orgs(write: &mut WriteTx<'_>) -> Result<Vec<OrgId>, StoreError> {
    let waiting = "SELECT org_id, min(id) FROM usage_records
                   WHERE batch_seq IS NULL AND charged > 0 GROUP BY org_id ORDER BY 2";
    let rows = write.all(sqlx::query(waiting)).await?;
    rows.iter()
        .map(|row| Columns::of(row).read("usage_records.org_id"))
        .collect()
}

/// Numbers as the text of a JSON list, for `json_each`.
fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// The oldest waiting calls of these organizations.
async fn items(
    write: &mut WriteTx<'_>,
    orgs: &[OrgId],
    limit: usize,
) -> Result<Vec<(i64, BatchItem)>, StoreError> {
    let waiting = "SELECT usage_records.id, call, org_id, organizations.address, receipts.hash
                   FROM usage_records
                   JOIN organizations ON organizations.id = org_id
                   JOIN receipts ON receipts.id = usage_records.id
                   WHERE batch_seq IS NULL AND charged > 0 AND org_id IN (SELECT value FROM json_each(?))
                   ORDER BY usage_records.id LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = write
        .all(
            sqlx::query(waiting)
                .bind(list(orgs.iter().map(|org| org.0)))
                .bind(limit),
        )
        .await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let mut columns = Columns::of(&row);
        let id: i64 = columns.read("usage_records.id")?;
        let item = BatchItem {
            call: columns.read("usage_records.call")?,
            org: columns.read("usage_records.org_id")?,
            org_address: columns.read("organizations.address")?,
            credits: Vec::new(),
            receipt_hash: columns.read("receipts.hash")?,
        };
        items.push((id, item));
    }
    let mut credits = credits(write, items.iter().map(|(id, _)| *id)).await?;
    for (id, item) in &mut items {
        item.credits = credits.remove(id).unwrap_or_default().into_iter().collect();
    }
    Ok(items)
}

/// What each payee gets of each call.
async fn credits(
    write: &mut WriteTx<'_>,
    usage: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, BTreeMap<Payee, Usdt>>, StoreError> {
    let lines = "SELECT usage_id, payee, amount FROM charge_lines
                 WHERE usage_id IN (SELECT value FROM json_each(?)) AND amount > 0";
    let mut credits: HashMap<i64, BTreeMap<Payee, Usdt>> = HashMap::new();
    for row in write.all(sqlx::query(lines).bind(list(usage))).await? {
        let mut columns = Columns::of(&row);
        let id: i64 = columns.read("charge_lines.usage_id")?;
        let payee: Payee = columns.read("charge_lines.payee")?;
        let amount: Usdt = columns.read("charge_lines.amount")?;
        let sum = credits.entry(id).or_default().entry(payee).or_default();
        *sum = sum
            .checked_add(amount)
            .ok_or(StoreError::inconsistent("charge_lines.amount"))?;
    }
    Ok(credits)
}

async fn carry(write: &mut WriteTx<'_>, orgs: &[OrgId]) -> Result<Vec<(CarryKey, Usdt)>, StoreError> {
    let carry = "SELECT org_id, payee, amount FROM settlement_carry
                 WHERE org_id IN (SELECT value FROM json_each(?)) AND amount <> 0";
    let rows = write
        .all(sqlx::query(carry).bind(list(orgs.iter().map(|org| org.0))))
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let key = CarryKey {
                org: columns.read("settlement_carry.org_id")?,
                payee: columns.read("settlement_carry.payee")?,
            };
            Ok((key, columns.read("settlement_carry.amount")?))
        })
        .collect()
}

async fn contracts(
    write: &mut WriteTx<'_>,
    orgs: &BTreeSet<OrgId>,
) -> Result<Vec<(OrgId, haithe_kernel::WalletAddress)>, StoreError> {
    let addresses = "SELECT id, address FROM organizations WHERE id IN (SELECT value FROM json_each(?))";
    let rows = write
        .all(sqlx::query(addresses).bind(list(orgs.iter().map(|org| org.0))))
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((
                columns.read("organizations.id")?,
                columns.read("organizations.address")?,
            ))
        })
        .collect()
}

/// Calls chosen so far, within the policy's bounds.
struct Selection {
    items: Vec<BatchItem>,
    usage: Vec<i64>,
    payees: HashMap<OrgId, HashSet<Payee>>,
    max_items: usize,
    max_payees: usize,
}

impl Selection {
    fn new(policy: &SealPolicy) -> Self {
        let size = |bound: u32| usize::try_from(bound).unwrap_or(usize::MAX);
        Self {
            items: Vec::new(),
            usage: Vec::new(),
            payees: HashMap::new(),
            max_items: size(policy.max_items),
            max_payees: size(policy.max_credits_per_line),
        }
    }

    fn room(&self) -> usize {
        self.max_items.saturating_sub(self.items.len())
    }

    /// Adds calls whose payees find a place in their organization's line; others wait.
    fn add(&mut self, items: Vec<(i64, BatchItem)>) {
        for (id, item) in items {
            let payees = self.payees.entry(item.org).or_default();
            let new = item
                .credits
                .iter()
                .filter(|(payee, _)| !payees.contains(payee))
                .count();
            if payees.len() + new > self.max_payees {
                if new > self.max_payees {
                    let call = item.call.to_string();
                    tracing::error!(
                        call,
                        new,
                        "a call pays more payees than fit in a line and cannot be settled"
                    );
                }
                continue;
            }
            payees.extend(item.credits.iter().map(|(payee, _)| *payee));
            self.usage.push(id);
            self.items.push(item);
        }
    }
}

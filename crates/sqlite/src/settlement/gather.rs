//! What goes into the next batch.

use crate::{
    columns::{Columns, read_each},
    db::Statement,
};
use haithe_billing::{
    batch::{BatchItem, CarryKey, SealPolicy},
    capture::Payee,
    ports::SealInput,
};
use haithe_kernel::{OrgId, StoreError, Usdt, WalletAddress};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Waiting calls looked through at a time.
const PAGE: usize = 4096;

/// What a batch is built from, and the usage records behind its items, in the same order.
pub(super) struct Gathered {
    pub(super) input: SealInput,
    pub(super) usage: Vec<i64>,
}

/// Gathers waiting calls, oldest first. Those of suspended organizations come after all others:
/// they would only be skipped again, and must keep nobody else waiting.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    suspended: &HashSet<OrgId>,
) -> Result<Option<Gathered>, StoreError> {
    let chosen = choose(connection, policy, suspended).await?;
    let mut selection = Selection::new(policy, chosen.usage.len());
    for some in chosen.usage.chunks(PAGE) {
        selection.add(items(connection, some).await?);
    }
    if selection.items.is_empty() {
        return Ok(None);
    }
    let orgs: BTreeSet<OrgId> = selection.items.iter().map(|item| item.org).collect();
    let carry = carry(connection, orgs).await?;
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
        payee_orgs: contracts(connection, payees).await?,
    };
    Ok(Some(Gathered {
        input,
        usage: selection.usage,
    }))
}

/// Calls for a batch, within its bounds of calls and organizations.
struct Chosen {
    usage: Vec<i64>,
    orgs: BTreeSet<OrgId>,
    max_items: usize,
    max_orgs: usize,
}

impl Chosen {
    fn is_full(&self) -> bool {
        self.usage.len() >= self.max_items
    }

    fn offer(&mut self, id: i64, org: OrgId) {
        let fits = self.orgs.contains(&org) || self.orgs.len() < self.max_orgs;
        if fits && !self.is_full() {
            self.orgs.insert(org);
            self.usage.push(id);
        }
    }
}

async fn choose(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    suspended: &HashSet<OrgId>,
) -> Result<Chosen, StoreError> {
    let mut chosen = Chosen {
        usage: Vec::new(),
        orgs: BTreeSet::new(),
        max_items: size(policy.max_items),
        max_orgs: size(policy.max_lines),
    };
    let mut suspended_calls = Vec::new();
    let mut after = i64::MIN;
    while !chosen.is_full() {
        let page = "SELECT id, org_id FROM usage_records
                    WHERE batch_seq IS NULL AND charged > 0 AND id > ? ORDER BY id LIMIT ?";
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let statement = sqlx::query(page).bind(after).bind(limit);
        let rows = read_each(connection, statement, |columns| {
            Ok((
                columns.read("usage_records.id")?,
                columns.read("usage_records.org_id")?,
            ))
        })
        .await?;
        for &(id, org) in &rows {
            after = id;
            if !suspended.contains(&org) {
                chosen.offer(id, org);
            } else if suspended_calls.len() < chosen.max_items {
                suspended_calls.push((id, org));
            }
        }
        if rows.len() < PAGE {
            break;
        }
    }
    for (id, org) in suspended_calls {
        chosen.offer(id, org);
    }
    Ok(chosen)
}

fn size(bound: u32) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}

async fn all(connection: &mut SqliteConnection, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
    statement.fetch_all(connection).await.map_err(StoreError::new)
}

/// Numbers as the text of a JSON list, for `json_each`.
fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// These calls, as settlement sees them.
async fn items(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<Vec<(i64, BatchItem)>, StoreError> {
    let chosen = "SELECT usage_records.id, call, org_id, organizations.address, receipts.hash
                  FROM json_each(?) AS chosen
                  CROSS JOIN usage_records ON usage_records.id = chosen.value
                  JOIN organizations ON organizations.id = org_id
                  JOIN receipts ON receipts.id = usage_records.id";
    let statement = sqlx::query(chosen).bind(list(usage.iter().copied()));
    let mut items = read_each(connection, statement, |columns| {
        let id: i64 = columns.read("usage_records.id")?;
        let item = BatchItem {
            call: columns.read("usage_records.call")?,
            org: columns.read("usage_records.org_id")?,
            org_address: columns.read("organizations.address")?,
            credits: Vec::new(),
            receipt_hash: columns.read("receipts.hash")?,
        };
        Ok((id, item))
    })
    .await?;
    let mut credits = credits(connection, usage).await?;
    for (id, item) in &mut items {
        item.credits = credits.remove(id).unwrap_or_default().into_iter().collect();
    }
    Ok(items)
}

/// What each payee gets of each call.
async fn credits(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<HashMap<i64, BTreeMap<Payee, Usdt>>, StoreError> {
    let lines = "SELECT usage_id, payee, amount
                 FROM json_each(?) AS chosen CROSS JOIN charge_lines ON usage_id = chosen.value
                 WHERE amount > 0";
    let mut credits: HashMap<i64, BTreeMap<Payee, Usdt>> = HashMap::with_capacity(usage.len());
    let statement = sqlx::query(lines).bind(list(usage.iter().copied()));
    read_each(connection, statement, |columns| {
        let id: i64 = columns.read("charge_lines.usage_id")?;
        let payee: Payee = columns.read("charge_lines.payee")?;
        let amount: Usdt = columns.read("charge_lines.amount")?;
        let sum = credits.entry(id).or_default().entry(payee).or_default();
        *sum = sum
            .checked_add(amount)
            .ok_or(StoreError::inconsistent("charge_lines.amount"))?;
        Ok(())
    })
    .await?;
    Ok(credits)
}

/// What these organizations owe from earlier batches.
pub(super) async fn carry(
    connection: &mut SqliteConnection,
    orgs: impl IntoIterator<Item = OrgId>,
) -> Result<Vec<(CarryKey, Usdt)>, StoreError> {
    let carry = "SELECT org_id, payee, amount FROM settlement_carry
                 WHERE org_id IN (SELECT value FROM json_each(?)) AND amount <> 0 ORDER BY org_id, payee";
    let orgs = list(orgs.into_iter().map(|org| org.0));
    let rows = all(connection, sqlx::query(carry).bind(orgs)).await?;
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
    connection: &mut SqliteConnection,
    orgs: BTreeSet<OrgId>,
) -> Result<Vec<(OrgId, WalletAddress)>, StoreError> {
    let addresses = "SELECT id, address FROM organizations WHERE id IN (SELECT value FROM json_each(?))";
    let orgs = list(orgs.into_iter().map(|org| org.0));
    let rows = all(connection, sqlx::query(addresses).bind(orgs)).await?;
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

/// Chosen calls whose payees find a place in their organization's line; others wait.
struct Selection {
    items: Vec<BatchItem>,
    usage: Vec<i64>,
    payees: HashMap<OrgId, HashSet<Payee>>,
    max_payees: usize,
}

impl Selection {
    fn new(policy: &SealPolicy, calls: usize) -> Self {
        Self {
            items: Vec::with_capacity(calls),
            usage: Vec::with_capacity(calls),
            payees: HashMap::new(),
            max_payees: size(policy.max_credits_per_line),
        }
    }

    fn add(&mut self, items: Vec<(i64, BatchItem)>) {
        for (id, item) in items {
            let payees = self.payees.entry(item.org).or_default();
            let new = item
                .credits
                .iter()
                .filter(|(payee, _)| !payees.contains(payee))
                .count();
            if payees.len() + new > self.max_payees {
                if item.credits.len() > self.max_payees {
                    let (call, payees) = (item.call.to_string(), item.credits.len());
                    tracing::error!(
                        call,
                        payees,
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

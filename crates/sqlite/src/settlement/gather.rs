//! Offering what waits to the sealer.

use super::{carry, escrow, waiting::list};
use crate::{
    columns::{Columns, read_each},
    db::Statement,
};
use haithe_billing::{
    batch::{BatchItem, Carry, CarryKey, Payers, SealPolicy, Sealer, Verdict},
    capture::Payee,
    ports::SealInput,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt, WalletAddress};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Waiting calls looked through at a time: their numbers and organizations only.
const PAGE: usize = 4096;

/// Waiting calls read with their payees at a time.
const LOADED: usize = 512;

/// What a batch is built from, and the usage records behind its items, in the same order.
pub(super) struct Gathered {
    pub(super) input: SealInput,
    pub(super) usage: Vec<i64>,
    /// Usage records that no batch can contain.
    pub(super) unsealable: BTreeSet<i64>,
}

/// Offers waiting calls to the sealer, oldest first, pass by pass.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    now: Timestamp,
    payers: Payers,
    aside: &BTreeSet<i64>,
) -> Result<Gathered, StoreError> {
    let (withdrawing, unpayable) = (payers.withdrawing.clone(), payers.unpayable.clone());
    let mut offering = Offering {
        sealer: Sealer::new(*policy, now, payers),
        now,
        taken: BTreeMap::new(),
        carry: BTreeMap::new(),
        unsealable: BTreeSet::new(),
    };
    offering.pass(connection, aside, Offer::Oldest).await?;
    let mut payouts = escrow::payouts(connection, policy, now).await?;
    payouts.retain(|(payee, _)| offering.sealer.offer_payout(*payee));
    let mut carried = BTreeSet::new();
    for overdue in carry::overdue(connection, policy, now, &withdrawing).await? {
        if offering.sealer.offer_carry(&overdue) {
            carried.insert(overdue.key.org);
            offering.carry.insert(overdue.key, overdue);
        }
    }
    loop {
        offering.pass(connection, aside, Offer::All).await?;
        if offering.sealer.next_pass().is_none() {
            break;
        }
    }
    let items = offering.taken.values();
    let payees = items.flat_map(|item| item.credits.iter().map(|(payee, _)| *payee));
    let payees = payees.chain(offering.carry.keys().map(|key| key.payee));
    let payees = payees.chain(payouts.iter().map(|(payee, _)| *payee));
    let payees: BTreeSet<OrgId> = payees
        .filter_map(|payee| match payee {
            Payee::Organization(org) => Some(org),
            Payee::Platform | Payee::Creator(_) => None,
        })
        .collect();
    let (usage, items) = offering.taken.into_iter().unzip();
    let input = SealInput {
        items,
        carry: offering.carry.into_values().collect(),
        carried: contracts(connection, carried).await?,
        withdrawing,
        unpayable,
        payouts,
        payee_orgs: contracts(connection, payees).await?,
    };
    Ok(Gathered {
        input,
        usage,
        unsealable: offering.unsealable,
    })
}

/// How much of what waits is offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Until one call is taken.
    Oldest,
    All,
}

/// What was offered and taken so far.
struct Offering {
    sealer: Sealer,
    now: Timestamp,
    /// By usage record, oldest first.
    taken: BTreeMap<i64, BatchItem>,
    carry: BTreeMap<CarryKey, Carry>,
    unsealable: BTreeSet<i64>,
}

impl Offering {
    /// Offers every waiting call that the sealer wants in its current pass.
    async fn pass(
        &mut self,
        connection: &mut SqliteConnection,
        aside: &BTreeSet<i64>,
        offer: Offer,
    ) -> Result<(), StoreError> {
        let at_once = if offer == Offer::Oldest { 1 } else { LOADED };
        let mut after = i64::MIN;
        while !self.sealer.is_full() {
            let page = "SELECT id, org_id FROM usage_records
                        WHERE batch_seq IS NULL AND charged > 0 AND id > ? ORDER BY id LIMIT ?";
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let statement = sqlx::query(page).bind(after).bind(limit);
            let rows: Vec<(i64, OrgId)> = read_each(connection, statement, |columns| {
                Ok((
                    columns.read("usage_records.id")?,
                    columns.read("usage_records.org_id")?,
                ))
            })
            .await?;
            let mut wanted = Vec::with_capacity(at_once);
            for (number, &(id, org)) in (1..).zip(&rows) {
                after = id;
                let is_new =
                    !aside.contains(&id) && !self.taken.contains_key(&id) && !self.unsealable.contains(&id);
                if is_new && self.sealer.wants(org) {
                    wanted.push(id);
                }
                if wanted.len() == at_once || number == rows.len() {
                    self.offer(connection, &wanted).await?;
                    wanted.clear();
                }
                if offer == Offer::Oldest && !self.taken.is_empty() {
                    return Ok(());
                }
            }
            if rows.len() < PAGE {
                break;
            }
        }
        Ok(())
    }

    async fn offer(&mut self, connection: &mut SqliteConnection, usage: &[i64]) -> Result<(), StoreError> {
        if usage.is_empty() {
            return Ok(());
        }
        let mut carried: HashMap<OrgId, Vec<Carry>> = HashMap::new();
        for carry in carry::of_calls(connection, usage).await? {
            carried.entry(carry.key.org).or_default().push(carry);
        }
        for (id, item) in items(connection, usage, self.now).await? {
            let payees: HashSet<Payee> = item.credits.iter().map(|(payee, _)| *payee).collect();
            let known = carried.get(&item.org).map(Vec::as_slice).unwrap_or_default();
            let known: Vec<Carry> = known
                .iter()
                .filter(|carry| payees.contains(&carry.key.payee))
                .copied()
                .collect();
            match self.sealer.offer(&item, &known) {
                Verdict::Taken => {
                    self.carry
                        .extend(known.into_iter().map(|carry| (carry.key, carry)));
                    self.taken.insert(id, item);
                }
                Verdict::Waits => {}
                Verdict::Unsealable => {
                    self.unsealable.insert(id);
                }
            }
        }
        Ok(())
    }
}

async fn all(connection: &mut SqliteConnection, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
    statement.fetch_all(connection).await.map_err(StoreError::new)
}

/// These calls, as settlement sees them.
async fn items(
    connection: &mut SqliteConnection,
    usage: &[i64],
    now: Timestamp,
) -> Result<Vec<(i64, BatchItem)>, StoreError> {
    let chosen =
        "SELECT usage_records.id, call, org_id, organizations.address, receipts.hash, finished_at, skipped
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
            due_since: columns.read("usage_records.finished_at")?,
        };
        let skipped: bool = columns.read("usage_records.skipped")?;
        let item = if skipped {
            BatchItem {
                due_since: now,
                ..item
            }
        } else {
            item
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

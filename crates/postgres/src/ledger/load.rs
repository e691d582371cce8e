//! Loading what a group of commands is about, after the lock on the organizations that pay.

use super::{
    Command,
    facts::{Transit, chain_time, org_money},
    read::ReadRows,
    sums,
};
use crate::{columns, columns::Columns, write::WriteTx};
use haithe_billing::{
    capture::{Captured, Payee},
    hold::BudgetSubject,
    ledger::{GroupInput, HoldRecord, LedgerState, SpendingSubject, StoreMark, TokenScale},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, ProjectId, StoreError, Timestamp};
use sqlx::postgres::PgRow;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// What a group of commands names.
#[derive(Debug, Default)]
struct Named {
    /// Organizations that pay.
    payers: BTreeSet<OrgId>,
    /// Organizations that are only paid.
    payees: BTreeSet<OrgId>,
    /// Calls that ask for money or were captured.
    calls: BTreeSet<CallId>,
    /// Calls that are captured.
    captured: BTreeSet<CallId>,
    /// Keys and projects that are captured for.
    charged: BTreeSet<SpendingSubject>,
    /// Windows of budgets.
    windows: HashSet<(BudgetSubject, Timestamp)>,
}

impl Named {
    fn by(commands: &[Arc<Command>]) -> Self {
        let mut named = Self::default();
        for command in commands {
            match &**command {
                Command::Hold(request) | Command::Available(request) => {
                    named.payers.insert(request.org);
                    named.calls.insert(request.call);
                    let windows = request.budgets.iter().map(|claim| (claim.subject, claim.since));
                    named.windows.extend(windows);
                }
                Command::Capture(capture) => {
                    named.payers.insert(capture.org);
                    named.calls.insert(capture.call);
                    named.captured.insert(capture.call);
                    let payees = capture.lines.iter().filter_map(|line| match line.payee {
                        Payee::Organization(org) => Some(org),
                        Payee::Platform | Payee::Creator(_) => None,
                    });
                    named.payees.extend(payees);
                    let project = SpendingSubject::Project(capture.org, capture.usage.project);
                    named.charged.insert(project);
                    named
                        .charged
                        .extend(capture.usage.api_key.map(SpendingSubject::ApiKey));
                }
                Command::Release(_) => {}
            }
        }
        named.payees.retain(|org| !named.payers.contains(org));
        named
    }

    fn claimed_projects(&self) -> BTreeSet<ProjectId> {
        let projects = self.windows.iter().filter_map(|(subject, _)| match subject {
            BudgetSubject::Project(project) => Some(*project),
            BudgetSubject::ApiKey(_) => None,
        });
        projects.collect()
    }
}

/// What a group decides over, and the calls of the holds that are stored.
pub(super) struct Loaded {
    pub(super) input: GroupInput,
    pub(super) stored_holds: HashSet<CallId>,
}

/// Locks and loads it. The epoch is checked before.
pub(super) async fn load(
    write: &mut WriteTx,
    commands: &[Arc<Command>],
    scale: TokenScale,
) -> Result<Loaded, StoreError> {
    let named = Named::by(commands);
    let payers: Vec<OrgId> = write
        .lock_books(named.payers.iter().copied())
        .await?
        .into_iter()
        .collect();
    let projects = named.claimed_projects();
    if !projects.is_empty() {
        // A capture's usage record locks its project, too, so that none is on its way while a window is summed.
        let numbers: Vec<i64> = projects.iter().map(|project| project.0).collect();
        let lock = "SELECT id FROM projects WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        write.execute(sqlx::query(lock).bind(numbers)).await?;
    }
    let mut input = GroupInput {
        state: LedgerState::new(StoreMark(0)),
        ..GroupInput::default()
    };
    if !payers.is_empty() {
        let time = chain_time(write).await?;
        input.state.set_chain_time(time);
        for (org, money) in org_money(write, &payers, (scale, Transit::LeaveOut), time).await? {
            input.state.add_organization(org, money);
        }
    }
    for payee in existing(write, &named.payees).await? {
        input.state.add_payee(payee);
    }
    (input.sums, input.windows) = sums::load(write, &named.charged, &named.windows).await?;
    input.captured = first_answers(write, &named.captured).await?;
    let mut stored_holds = HashSet::new();
    for hold in holds(write, &payers, &named).await? {
        stored_holds.insert(hold.call);
        input.state.add_hold(hold);
    }
    Ok(Loaded { input, stored_holds })
}

async fn existing(write: &mut WriteTx, orgs: &BTreeSet<OrgId>) -> Result<Vec<OrgId>, StoreError> {
    if orgs.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = orgs.iter().map(|org| org.0).collect();
    let known = "SELECT org_id FROM org_books WHERE org_id = ANY($1)";
    let rows = write.all(sqlx::query(known).bind(numbers)).await?;
    rows.iter()
        .map(|row| Columns::of(row).get("org_books.org_id"))
        .collect()
}

fn bytes(calls: &BTreeSet<CallId>) -> Vec<Vec<u8>> {
    calls.iter().map(|call| columns::uuid(call.0)).collect()
}

async fn first_answers(
    write: &mut WriteTx,
    calls: &BTreeSet<CallId>,
) -> Result<HashMap<CallId, Captured>, StoreError> {
    if calls.is_empty() {
        return Ok(HashMap::new());
    }
    let stored = "SELECT call, charged, lost, spent_before FROM usage_records WHERE call = ANY($1)";
    let rows = write.all(sqlx::query(stored).bind(bytes(calls))).await?;
    let answers = rows.iter().map(|row| {
        let columns = Columns::of(row);
        let captured = Captured {
            charged: columns.get("usage_records.charged")?,
            lost: columns.get("usage_records.lost")?,
            spent_before: columns.get("usage_records.spent_before")?,
        };
        Ok((columns.get("usage_records.call")?, captured))
    });
    answers.collect()
}

/// The holds of these organizations and calls, and those that count in the budgets.
async fn holds(write: &mut WriteTx, payers: &[OrgId], named: &Named) -> Result<Vec<HoldRecord>, StoreError> {
    if payers.is_empty() && named.calls.is_empty() {
        return Ok(Vec::new());
    }
    let orgs: Vec<i64> = payers.iter().map(|org| org.0).collect();
    let found = "SELECT call, org_id, amount, subjects FROM holds WHERE org_id = ANY($1) OR call = ANY($2)";
    let counted = "SELECT call, org_id, amount, subjects FROM holds WHERE org_id = ANY($1) OR call = ANY($2)
                   UNION
                   SELECT call, org_id, amount, subjects FROM holds WHERE subjects <> '{}' AND subjects && $3";
    let statement = if named.windows.is_empty() {
        sqlx::query(found).bind(orgs).bind(bytes(&named.calls))
    } else {
        let subjects: BTreeSet<String> = named
            .windows
            .iter()
            .map(|(subject, _)| budget_name(*subject))
            .collect();
        sqlx::query(counted)
            .bind(orgs)
            .bind(bytes(&named.calls))
            .bind(Vec::from_iter(subjects))
    };
    let rows = write.all(statement).await?;
    rows.iter().map(hold).collect()
}

fn hold(row: &PgRow) -> Result<HoldRecord, StoreError> {
    let columns = Columns::of(row);
    let subjects: Vec<String> = columns.get("holds.subjects")?;
    let subjects = subjects
        .iter()
        .map(|name| read_budget_name(name).ok_or(StoreError::inconsistent("holds.subjects")));
    Ok(HoldRecord {
        call: columns.get("holds.call")?,
        org: columns.get("holds.org_id")?,
        amount: columns.get("holds.amount")?,
        subjects: subjects.collect::<Result<_, _>>()?,
    })
}

/// All holds of these organizations.
pub(super) async fn holds_of(read: &mut impl ReadRows, org: OrgId) -> Result<Vec<HoldRecord>, StoreError> {
    let holds = "SELECT call, org_id, amount, subjects FROM holds WHERE org_id = $1";
    let rows = read.rows(sqlx::query(holds).bind(org.0)).await?;
    rows.iter().map(hold).collect()
}

/// `key/{api key}` or `project/{project}`.
pub(super) fn budget_name(subject: BudgetSubject) -> String {
    match subject {
        BudgetSubject::ApiKey(key) => format!("key/{}", key.0),
        BudgetSubject::Project(project) => format!("project/{}", project.0),
    }
}

fn read_budget_name(name: &str) -> Option<BudgetSubject> {
    match name.split_once('/')? {
        ("key", key) => key.parse().ok().map(|key| BudgetSubject::ApiKey(ApiKeyId(key))),
        ("project", project) => project
            .parse()
            .ok()
            .map(|project| BudgetSubject::Project(ProjectId(project))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_reads_back_from_its_name() {
        for subject in [
            BudgetSubject::ApiKey(ApiKeyId(5)),
            BudgetSubject::Project(ProjectId(6)),
        ] {
            assert_eq!(read_budget_name(&budget_name(subject)), Some(subject));
        }
        assert_eq!(read_budget_name("key/x"), None);
        assert_eq!(read_budget_name("org/1"), None);
    }
}

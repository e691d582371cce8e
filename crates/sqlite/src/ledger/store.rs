//! Storing captures: a group of them in one durable transaction.

use super::{
    accounts::{AccountTable, Accounts},
    bulk::{Bound, Bulk},
    capture::{SealedCapture, first_answer, stored},
};
use crate::{columns, writer::blames_the_data};
use haithe_billing::capture::{CallOutcome, LineItem, PriceLine};
use haithe_kernel::StoreError;
use sqlx::{SqliteConnection, error::BoxDynError};
use std::sync::Arc;

/// The prepared statements of a group, one for each size.
pub(crate) struct CaptureStatements {
    captures: Bulk,
}

impl CaptureStatements {
    pub(crate) fn new() -> Self {
        let names = [
            "id",
            "key",
            "call",
            "org_id",
            "project_id",
            "wallet_address",
            "api_key_id",
            "model_id",
            "model_name",
            "provider",
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "reasoning_tokens",
            "estimated",
            "streamed",
            "outcome",
            "request_hash",
            "response_hash",
            "started_at",
            "finished_at",
            "charged",
            "lost",
            "spent_before",
            "receipt_hash",
            "receipt_json",
            "lines",
            "transfers",
            "balances",
        ];
        Self {
            captures: Bulk::insert("captures", &names),
        }
    }

    /// Stores the group and answers everybody in it; gives the failure, if it failed. `next` is the
    /// number of the next ledger transaction.
    ///
    /// When one of the group cannot be stored, each capture is tried alone, so that it (one that was
    /// stored before, say) harms only itself.
    pub(crate) async fn store(
        &self,
        connection: &mut SqliteConnection,
        next: &mut i64,
        accounts: &mut AccountTable,
        group: Vec<SealedCapture>,
    ) -> Option<Arc<sqlx::Error>> {
        match self.commit(connection, *next, accounts, &group).await {
            Ok(()) => finish(next, group),
            Err(error) if !blames_the_data(&error) => return Some(fail(group, error)),
            Err(error) => match <[SealedCapture; 1]>::try_from(group) {
                Ok([alone]) => return answer_again(connection, alone, error).await,
                Err(group) => {
                    let mut last = None;
                    for capture in group {
                        last = self.store_alone(connection, next, accounts, capture).await;
                    }
                    return last;
                }
            },
        }
        None
    }

    async fn store_alone(
        &self,
        connection: &mut SqliteConnection,
        next: &mut i64,
        accounts: &mut AccountTable,
        capture: SealedCapture,
    ) -> Option<Arc<sqlx::Error>> {
        match self
            .commit(connection, *next, accounts, std::slice::from_ref(&capture))
            .await
        {
            Ok(()) => finish(next, vec![capture]),
            Err(error) => return answer_again(connection, capture, error).await,
        }
        None
    }

    /// One statement, which is a transaction by itself. The view's trigger spreads each row over the
    /// tables that it belongs to. The last row brings the balances that follow from all of them.
    async fn commit(
        &self,
        connection: &mut SqliteConnection,
        first: i64,
        table: &mut AccountTable,
        group: &[SealedCapture],
    ) -> sqlx::Result<()> {
        let (rows, accounts) = rows(first, table, group).map_err(sqlx::Error::Encode)?;
        self.captures.one(connection, &rows, bind_capture).await?;
        let changes = accounts.into_changes();
        table.apply(changes);
        Ok(())
    }
}

/// A capture as a row of the view.
struct CaptureRow<'s> {
    /// The number of its ledger transaction and of its usage record.
    id: i64,
    sealed: &'s SealedCapture,
    transfers: String,
    balances: Option<String>,
}

/// The rows of a group, posted in their order.
fn rows<'s, 't>(
    first: i64,
    table: &'t AccountTable,
    group: &'s [SealedCapture],
) -> Result<(Vec<CaptureRow<'s>>, Accounts<'t>), BoxDynError> {
    let mut accounts = Accounts::on(table);
    let mut rows = Vec::with_capacity(group.len());
    for (id, sealed) in (first..).zip(group) {
        accounts.post(&sealed.entry)?;
        rows.push(CaptureRow {
            id,
            sealed,
            transfers: accounts.transfers_json(&sealed.entry)?,
            balances: None,
        });
    }
    if let Some(last) = rows.last_mut() {
        last.balances = Some(accounts.changed_json()?);
    }
    Ok((rows, accounts))
}

fn bind_capture(bound: &mut Bound, row: &CaptureRow<'_>) -> Result<(), BoxDynError> {
    let sealed = row.sealed;
    let (capture, captured) = (&sealed.capture, sealed.pending.captured());
    let usage = &capture.usage;
    // A provider may claim any number; one beyond 63 bits must not harm the group.
    let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    bound.add(row.id)?;
    bound.add(sealed.entry.key.as_str())?;
    bound.add(columns::uuid(capture.call.0))?;
    bound.add(capture.org.0)?;
    bound.add(usage.project.0)?;
    bound.add(columns::address(usage.wallet))?;
    bound.add(usage.api_key.map(|key| key.0))?;
    bound.add(usage.model.0)?;
    bound.add(usage.model_name.as_str())?;
    bound.add(usage.provider.as_str())?;
    bound.add(tokens(usage.tokens.input))?;
    bound.add(tokens(usage.tokens.cached))?;
    bound.add(tokens(usage.tokens.output))?;
    bound.add(tokens(usage.tokens.reasoning))?;
    bound.add(usage.estimated)?;
    bound.add(usage.streamed)?;
    bound.add(match usage.outcome {
        CallOutcome::Complete => "complete",
        CallOutcome::Partial => "partial",
        CallOutcome::Aborted => "aborted",
    })?;
    bound.add(&usage.request_hash[..])?;
    bound.add(&usage.response_hash[..])?;
    bound.add(usage.started_at.micros())?;
    bound.add(usage.finished_at.micros())?;
    bound.add(captured.charged.nano())?;
    bound.add(captured.lost.nano())?;
    bound.add(captured.spent_before.nano())?;
    bound.add(&sealed.receipt_hash[..])?;
    bound.add(Arc::clone(&sealed.receipt_json))?;
    bound.add(lines(&sealed.lines)?)?;
    bound.add(row.transfers.as_str())?;
    bound.add(row.balances.as_deref())
}

/// The lines of a charge as the view takes them.
fn lines(lines: &[PriceLine]) -> Result<String, serde_json::Error> {
    let lines = lines.iter().map(|line| {
        let (item, item_id) = match line.item {
            LineItem::ModelCall => ("model_call", None),
            LineItem::ModelTokens => ("model_tokens", None),
            LineItem::Product(product) => ("product", Some(product.0)),
            LineItem::Project(project) => ("project", Some(project.0)),
        };
        (columns::payee(line.payee), item, item_id, line.amount.nano())
    });
    serde_json::to_string(&lines.collect::<Vec<_>>())
}

fn finish(next: &mut i64, group: Vec<SealedCapture>) {
    for capture in group {
        capture.stored(*next);
        *next += 1;
    }
}

/// A capture that could not be stored because it was stored before gets the first answer again.
async fn answer_again(
    connection: &mut SqliteConnection,
    capture: SealedCapture,
    error: sqlx::Error,
) -> Option<Arc<sqlx::Error>> {
    let row = stored(capture.capture.call)
        .fetch_optional(connection)
        .await
        .ok()
        .flatten();
    match row.map(|row| first_answer(&row)) {
        Some(Ok(first)) => capture.duplicate(first),
        _ => return Some(fail(vec![capture], error)),
    }
    None
}

fn fail(group: Vec<SealedCapture>, error: sqlx::Error) -> Arc<sqlx::Error> {
    tracing::error!(%error, captures = group.len(), "captures could not be stored and were taken back");
    if !blames_the_data(&error) {
        // Before anybody is told, so that whoever was told is not admitted again.
        group
            .iter()
            .for_each(|capture| capture.pending.refuse_new_holds());
    }
    let error = Arc::new(error);
    for capture in group {
        capture.failed(|| StoreError::new(SharedError(Arc::clone(&error))));
    }
    error
}

/// One failure, told to everybody in the group.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SharedError(Arc<sqlx::Error>);

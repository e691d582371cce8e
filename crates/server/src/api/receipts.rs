//! `/api/v1/receipts`: what a call did cost, with the proof of its settlement.

pub mod lists;

use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Segment},
    wire::{AddressText, BaseUnits},
};
use axum::extract::State;
use haithe_billing::{
    batch::BatchState,
    chain::Hash32,
    ports::Books,
    receipt::{Receipt, ReceiptDocument, Settlement},
};
use haithe_kernel::{CallId, Decimals, Failure, Kind, WalletAddress};
use haithe_orgs::{Action, Organizations, Projects};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A receipt. `hash` is the SHA-256 of `document` exactly as it stands here (RFC 8785).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub struct ReceiptView {
    id: String,
    #[schema(value_type = AddressText)]
    organization: WalletAddress,
    charged: BaseUnits,
    charged_usdt: String,
    hash: String,
    #[schema(value_type = Object)]
    document: Box<RawValue>,
    /// Absent until a batch takes the receipt up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    settlement: Option<SettlementView>,
}

/// Where the receipt is proven. Hashes are `0x` and 64 digits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptSettlement)]
struct SettlementView {
    batch: u64,
    line: u32,
    root: String,
    leaf: String,
    proof: Vec<String>,
    state: &'static str,
    #[schema(required = true)]
    transaction_hash: Option<String>,
}

fn hex32(hash: Hash32) -> String {
    format!("0x{}", hex::encode(hash))
}

impl From<Settlement> for SettlementView {
    fn from(settlement: Settlement) -> Self {
        Self {
            batch: settlement.seq,
            line: settlement.line,
            root: hex32(settlement.root),
            leaf: hex32(settlement.leaf),
            proof: settlement.proof.into_iter().map(hex32).collect(),
            state: match settlement.state {
                BatchState::Sealed => "sealed",
                BatchState::Seen => "seen",
                BatchState::Final => "final",
            },
            transaction_hash: settlement.tx.map(hex32),
        }
    }
}

impl ReceiptView {
    /// The view of a stored receipt.
    ///
    /// # Errors
    /// When the stored document is no JSON, which is a defect.
    pub fn of(receipt: Receipt, decimals: Decimals) -> Result<Self, ApiError> {
        Ok(Self {
            id: receipt.call.to_string(),
            organization: receipt.org_address,
            charged: BaseUnits::of(receipt.charged, decimals),
            charged_usdt: receipt.charged.to_string(),
            hash: hex32(receipt.sealed.hash),
            document: RawValue::from_string(receipt.sealed.json).map_err(ApiError::internal)?,
            settlement: receipt.settlement.map(SettlementView::from),
        })
    }
}

/// The receipt of a call, with the proof of its settlement.
///
/// For whoever may read the payer's money or, failing that, the project's.
#[utoipa::path(get, path = "/api/v1/receipts/{id}", params(("id" = Uuid, Path, description = "The call")),
    responses((status = 200, body = Success<ReceiptView>)))]
pub async fn show(
    State(books): State<Arc<dyn Books>>,
    State(organizations): State<Arc<Organizations>>,
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<Uuid>,
) -> Answer<ReceiptView> {
    let missing = || ApiError::not_found("receipt");
    let receipt = books.receipt(CallId(id)).await?.ok_or_else(missing)?;
    let through_org = organizations
        .authorize(user.address, receipt.org, Action::ReadOrgMoney)
        .await;
    if let Err(refusal) = through_org {
        if !hides(&refusal) {
            return Err(refusal.into());
        }
        let document = ReceiptDocument::parse(&receipt.sealed.json)?;
        let through_project = projects
            .authorize(user.address, document.project, Action::ReadProjectMoney)
            .await;
        match through_project {
            Ok(access) if access.org.id == receipt.org => {}
            Ok(_) => return Err(missing()),
            Err(refusal) if hides(&refusal) => return Err(missing()),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(Success::of("Receipt", ReceiptView::of(receipt, decimals)?))
}

/// Whether a refusal must look as if the receipt did not exist.
fn hides(refusal: &impl Failure) -> bool {
    matches!(refusal.kind(), Kind::NotFound | Kind::Forbidden)
}

//! The receipt's document: what it says, its canonical bytes, and how they are read back.

use super::{RECEIPT_VERSION, ReceiptContext, SealedReceipt, canonical, leaf, receipt_id32};
use crate::{
    capture::{CallOutcome, Capture, Captured, LineItem, Payee, PriceLine, TokenUsage},
    chain::Hash32,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{
    CallId, Failure, Kind, OrgId, OrgUid, ProductId, ProjectId, Timestamp, Usdt, WalletAddress,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Everything a receipt states. Amounts are nano-USDT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Capture, Captured and ReceiptContext")]
pub struct ReceiptDocument {
    pub context: ReceiptContext,
    pub call: CallId,
    pub project: ProjectId,
    pub wallet: WalletAddress,
    pub api_key: Option<ApiKeyId>,
    pub model: String,
    pub provider: String,
    pub tokens: TokenUsage,
    pub estimated: bool,
    pub streamed: bool,
    pub outcome: CallOutcome,
    pub request_hash: [u8; 32],
    pub response_hash: [u8; 32],
    /// The lines as charged.
    pub lines: Vec<PriceLine>,
    pub charged: Usdt,
    pub lost: Usdt,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
}

/// Why a text is not a receipt.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not with a receipt's fields.
    #[error("this is not a receipt: {0}")]
    Form(#[source] serde_json::Error),
    /// Of a version that this program does not know.
    #[error("this receipt has version {0}; this program reads version {RECEIPT_VERSION}")]
    Version(u64),
    /// A field whose text cannot be read.
    #[error("the receipt's `{0}` cannot be read")]
    Field(&'static str),
    /// The same content with another spelling of a value: its hash would differ.
    #[error(
        "a value in the receipt is spelled differently than it was issued, so its hash differs; use the document as the API returned it"
    )]
    NotCanonical,
}

impl Failure for DocumentError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
    fn code(&self) -> &'static str {
        "invalid_receipt"
    }
}

impl ReceiptDocument {
    /// What a captured call's receipt says.
    pub fn new(
        context: &ReceiptContext,
        capture: &Capture,
        captured: &Captured,
        charged_lines: &[PriceLine],
    ) -> Self {
        let usage = &capture.usage;
        Self {
            context: context.clone(),
            call: capture.call,
            project: usage.project,
            wallet: usage.wallet,
            api_key: usage.api_key,
            model: usage.model_name.clone(),
            provider: usage.provider.clone(),
            tokens: usage.tokens,
            estimated: usage.estimated,
            streamed: usage.streamed,
            outcome: usage.outcome,
            request_hash: usage.request_hash,
            response_hash: usage.response_hash,
            lines: charged_lines.to_vec(),
            charged: captured.charged,
            lost: captured.lost,
            started_at: usage.started_at,
            finished_at: usage.finished_at,
        }
    }

    /// Reads a receipt. The text may be formatted in any way (spaces, order of fields, escapes): its hash
    /// is that of its canonical form (RFC 8785).
    ///
    /// # Errors
    /// [`DocumentError`] unless the canonical form of the text is exactly what
    /// [`ReceiptDocument::seal`] writes for its content, so that the hash of the one is the hash of the
    /// other. A field with another spelling of the same value (`+2000` for `2000`) is refused.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let text = text.trim();
        let Version { version } = serde_json::from_str(text).map_err(DocumentError::Form)?;
        if version != u64::from(RECEIPT_VERSION) {
            return Err(DocumentError::Version(version));
        }
        let wire: Wire = serde_json::from_str(text).map_err(DocumentError::Form)?;
        let document = wire.read()?;
        let canonical = document.to_json();
        if canonical == text || canonicalized(text).is_some_and(|text| text == canonical) {
            Ok(document)
        } else {
            Err(DocumentError::NotCanonical)
        }
    }

    /// Its canonical bytes and their SHA-256.
    pub fn seal(&self) -> SealedReceipt {
        let json = self.to_json();
        let hash = Sha256::digest(json.as_bytes()).into();
        SealedReceipt { json, hash }
    }

    /// Its leaf when it is settled in this line of this batch.
    pub fn leaf(&self, seq: u64, line: u32) -> Hash32 {
        let id = receipt_id32(self.call);
        let hash = self.seal().hash;
        leaf(
            RECEIPT_VERSION,
            id,
            seq,
            line,
            self.context.org_address,
            self.charged,
            hash,
        )
    }

    fn to_json(&self) -> String {
        let mut out = String::with_capacity(1536);
        canonical::object(&mut out, |receipt| {
            match self.api_key {
                Some(ApiKeyId(id)) => receipt.plain("api_key", id),
                None => receipt.literal("api_key", "null"),
            }
            receipt.plain("chain_id", self.context.chain_id);
            receipt.plain("charged_nano", self.charged.nano());
            receipt.literal("estimated", self.estimated);
            receipt.plain("finished_at", self.finished_at);
            receipt.plain("id", self.call);
            receipt.plain("ledger_transaction", format_args!("call/{}", self.call));
            receipt.objects("lines", &self.lines, |line, fields| {
                fields.plain("amount_nano", line.amount.nano());
                fields.plain("item", Word(line.item));
                fields.plain("payee", Word(line.payee));
            });
            receipt.plain("lost_nano", self.lost.nano());
            receipt.text("model", &self.model);
            receipt.plain("orchestrator", self.context.orchestrator);
            receipt.object("organization", |organization| {
                organization.plain("address", self.context.org_address);
                organization.plain("uid", self.context.org_uid);
            });
            receipt.plain("outcome", Word(self.outcome));
            receipt.plain("project", self.project);
            receipt.text("provider", &self.provider);
            receipt.hex("request_sha256", &self.request_hash);
            receipt.hex("response_sha256", &self.response_hash);
            receipt.plain("started_at", self.started_at);
            receipt.literal("streamed", self.streamed);
            receipt.object("tokens", |tokens| {
                tokens.plain("cached", self.tokens.cached);
                tokens.plain("input", self.tokens.input);
                tokens.plain("output", self.tokens.output);
                tokens.plain("reasoning", self.tokens.reasoning);
            });
            receipt.literal("version", RECEIPT_VERSION);
            receipt.plain("wallet", self.wallet);
        });
        out
    }
}

/// A domain value as the receipt spells it.
struct Word<T>(T);

impl fmt::Display for Word<Payee> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Payee::Platform => f.write_str("platform"),
            Payee::Creator(address) => write!(f, "creator/{address}"),
            Payee::Organization(org) => write!(f, "organization/{org}"),
        }
    }
}

impl FromStr for Word<Payee> {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let payee = match text.split_once('/') {
            None if text == "platform" => Payee::Platform,
            Some(("creator", address)) => Payee::Creator(address.parse().map_err(drop)?),
            Some(("organization", id)) => Payee::Organization(OrgId(id.parse().map_err(drop)?)),
            _ => return Err(()),
        };
        Ok(Self(payee))
    }
}

impl fmt::Display for Word<LineItem> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LineItem::ModelCall => f.write_str("model_call"),
            LineItem::ModelTokens => f.write_str("model_tokens"),
            LineItem::Product(product) => write!(f, "product/{product}"),
            LineItem::Project(project) => write!(f, "project/{project}"),
        }
    }
}

impl FromStr for Word<LineItem> {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let item = match text.split_once('/') {
            None if text == "model_call" => LineItem::ModelCall,
            None if text == "model_tokens" => LineItem::ModelTokens,
            Some(("product", id)) => LineItem::Product(ProductId(id.parse().map_err(drop)?)),
            Some(("project", id)) => LineItem::Project(ProjectId(id.parse().map_err(drop)?)),
            _ => return Err(()),
        };
        Ok(Self(item))
    }
}

impl fmt::Display for Word<CallOutcome> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            CallOutcome::Complete => "complete",
            CallOutcome::Partial => "partial",
            CallOutcome::Aborted => "aborted",
        })
    }
}

/// What every version of the document has.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// The document as JSON spells it. Reading it may be lenient: what was read must write the same bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    api_key: Option<String>,
    chain_id: String,
    charged_nano: String,
    estimated: bool,
    finished_at: String,
    id: CallId,
    #[serde(rename = "ledger_transaction")]
    _ledger_transaction: String,
    lines: Vec<WireLine>,
    lost_nano: String,
    model: String,
    orchestrator: WalletAddress,
    organization: WireOrganization,
    outcome: CallOutcome,
    project: String,
    provider: String,
    request_sha256: String,
    response_sha256: String,
    started_at: String,
    streamed: bool,
    tokens: WireTokens,
    #[serde(rename = "version")]
    _version: u8,
    wallet: WalletAddress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLine {
    amount_nano: String,
    item: String,
    payee: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOrganization {
    address: WalletAddress,
    uid: OrgUid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTokens {
    cached: String,
    input: String,
    output: String,
    reasoning: String,
}

impl Wire {
    fn read(self) -> Result<ReceiptDocument, DocumentError> {
        let api_key = self.api_key.map(|id| field("api_key", &id)).transpose()?;
        let lines: Result<Vec<_>, _> = self.lines.iter().map(WireLine::read).collect();
        Ok(ReceiptDocument {
            context: ReceiptContext {
                chain_id: field("chain_id", &self.chain_id)?,
                orchestrator: self.orchestrator,
                org_uid: self.organization.uid,
                org_address: self.organization.address,
            },
            call: self.id,
            project: ProjectId(field("project", &self.project)?),
            wallet: self.wallet,
            api_key: api_key.map(ApiKeyId),
            model: self.model,
            provider: self.provider,
            tokens: TokenUsage {
                input: field("tokens.input", &self.tokens.input)?,
                cached: field("tokens.cached", &self.tokens.cached)?,
                output: field("tokens.output", &self.tokens.output)?,
                reasoning: field("tokens.reasoning", &self.tokens.reasoning)?,
            },
            estimated: self.estimated,
            streamed: self.streamed,
            outcome: self.outcome,
            request_hash: hash("request_sha256", &self.request_sha256)?,
            response_hash: hash("response_sha256", &self.response_sha256)?,
            lines: lines?,
            charged: Usdt::from_nano(field("charged_nano", &self.charged_nano)?),
            lost: Usdt::from_nano(field("lost_nano", &self.lost_nano)?),
            started_at: time("started_at", &self.started_at)?,
            finished_at: time("finished_at", &self.finished_at)?,
        })
    }
}

impl WireLine {
    fn read(&self) -> Result<PriceLine, DocumentError> {
        let Word(payee) = field("lines.payee", &self.payee)?;
        let Word(item) = field("lines.item", &self.item)?;
        let amount = Usdt::from_nano(field("lines.amount_nano", &self.amount_nano)?);
        Ok(PriceLine { payee, item, amount })
    }
}

fn field<T: FromStr>(name: &'static str, text: &str) -> Result<T, DocumentError> {
    text.parse().map_err(|_| DocumentError::Field(name))
}

/// The canonical form (RFC 8785) of any JSON text; `None` if it has none.
fn canonicalized(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    serde_json_canonicalizer::to_string(&value).ok()
}

fn hash(name: &'static str, text: &str) -> Result<Hash32, DocumentError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| DocumentError::Field(name))?;
    Ok(bytes)
}

fn time(name: &'static str, text: &str) -> Result<Timestamp, DocumentError> {
    let unreadable = || DocumentError::Field(name);
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| unreadable())?;
    let micros = at.unix_timestamp_nanos() / 1000;
    i64::try_from(micros)
        .map(Timestamp::from_micros)
        .map_err(|_| unreadable())
}

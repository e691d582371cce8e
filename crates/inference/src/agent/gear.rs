//! What an agent's call can bring along, and from where.

use super::preparation::Preparation;
use crate::{
    completions::{Caller, fewest_tokens},
    conversations::ConversationId,
    price::{Bound, Quote},
};
use async_trait::async_trait;
use haithe_billing::capture::{LineItem, Payee, PriceLine};
use haithe_kernel::{Failure, Kind, ProductId, StoreError, Timestamp, Usdt, WalletAddress};
use haithe_marketplace::usability::ProductFault;
use haithe_orgs::PayerRefusal;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

/// A call, as its gears see it.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who calls, as which project, on whose account.
    pub caller: Caller,
    /// The conversation that the call continues.
    pub conversation: Option<ConversationId>,
    /// The text of the last message of the user; empty when there is none.
    pub question: String,
    /// Whether tools can be offered: the model knows them and the caller does not forbid them.
    pub tools: bool,
    /// What the call may grow to.
    pub room: Room,
    /// The memory that the call takes until its money is set aside.
    pub preparation: Arc<Preparation>,
    /// When the call began; prices in force are those of this moment.
    pub at: Timestamp,
}

/// What there is for a call before anything is composed: money and context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What the caller can spend.
    pub available: Usdt,
    /// The prices of the call, products aside.
    pub quote: Quote,
    /// Tokens that the model reads.
    pub context: u64,
}

impl Room {
    /// Refuses what cannot be paid or read: `products` is due at least, `bytes` of text are put before
    /// the model. To be asked while text is collected, before it is composed.
    ///
    /// # Errors
    /// [`GearError::Unaffordable`] and [`GearError::TooLong`].
    pub fn holds(&self, products: Usdt, bytes: usize) -> Result<(), GearError> {
        let tokens = fewest_tokens(u64::try_from(bytes).unwrap_or(u64::MAX));
        if tokens > self.context {
            return Err(GearError::TooLong {
                context: self.context,
            });
        }
        let quote = Quote {
            products,
            ..self.quote
        };
        let least = quote.least(Bound {
            input: tokens.max(1),
            output: 1,
            choices: 1,
        });
        if least > self.available {
            return Err(GearError::Unaffordable { least });
        }
        Ok(())
    }
}

/// What one gear brings.
#[derive(Default)]
pub struct Equipment {
    /// For the system role, in order.
    pub instructions: Vec<String>,
    /// What was said before, oldest first.
    pub history: Vec<History>,
    /// Data to answer from, rendered so that nothing in it can pass for an instruction.
    pub data: Vec<String>,
    /// Tools that the service runs.
    pub tools: Vec<Arc<dyn ServerTool>>,
    /// The product that each tool belongs to, by the tool's name.
    pub tool_products: HashMap<String, ProductId>,
    /// What is paid for it, once a byte of the answer was delivered.
    pub fees: Vec<ProductFee>,
    /// Where data comes from, for the caller.
    pub sources: Vec<Source>,
}

impl Equipment {
    /// Both together, `more` behind.
    pub fn extend(&mut self, more: Self) {
        self.instructions.extend(more.instructions);
        self.history.extend(more.history);
        self.data.extend(more.data);
        self.tools.extend(more.tools);
        self.tool_products.extend(more.tool_products);
        self.fees.extend(more.fees);
        self.sources.extend(more.sources);
    }
}

/// A message of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// `true`: the model said it; else the user.
    pub by_model: bool,
    /// What was said.
    pub text: String,
}

/// A product's price per call, due because its content was loaded or its tool offered; not due when all
/// calls of its tools failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductFee {
    /// The product.
    pub product: ProductId,
    /// Who is paid.
    pub creator: WalletAddress,
    /// Per call.
    pub amount: Usdt,
}

impl ProductFee {
    pub(super) const fn line(&self) -> PriceLine {
        PriceLine {
            payee: Payee::Creator(self.creator),
            item: LineItem::Product(self.product),
            amount: self.amount,
        }
    }
}

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The number by which the data is cited.
    pub number: u32,
    /// The product, if it is one.
    pub product: Option<ProductId>,
    /// Its name.
    pub name: String,
    /// Where in it: a page, a heading, rows.
    pub locator: String,
}

/// What the model is told about a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    /// 1 to 64 characters of `a-z A-Z 0-9 _ -`, as OpenAI's dialect wants it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments: an object.
    pub parameters: Value,
}

/// A tool that the service runs.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ServerTool: Send + Sync {
    /// What the model is told.
    fn definition(&self) -> ToolDefinition;
    /// Runs it with arguments as the model wrote them, unchecked. Whatever goes wrong is written in the
    /// text, for the model to read; it must name nothing that the caller may not see.
    async fn call(&self, arguments: Value) -> ToolOutcome;
}

/// What a tool's call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    /// What the model reads.
    pub text: String,
    /// The call was refused or failed: it is not charged.
    pub failed: bool,
}

impl ToolOutcome {
    /// The tool's answer.
    pub fn answered(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            failed: false,
        }
    }

    /// Why there is none.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            failed: true,
        }
    }
}

/// What a loop said and heard, for whoever keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The user's last message.
    pub question: String,
    /// The model's answer.
    pub answer: String,
}

/// Why a call cannot be equipped. Nothing was held or charged.
#[derive(Debug, thiserror::Error)]
pub enum GearError {
    /// A product's content cannot be had.
    #[error("the product {name} cannot be loaded at the moment: {reason}; disable it or try again later")]
    Product {
        /// Its name.
        name: String,
        /// Why, fit for a stranger.
        reason: String,
    },
    /// What the project brings along costs more than there is.
    #[error("the products of this project need at least {least} USDT for this call; deposit more USDT")]
    Unaffordable {
        /// What the call needs at least.
        least: Usdt,
    },
    /// Too many large calls are being prepared, or too many of this payer.
    #[error("too many large calls are being prepared; try again shortly")]
    Crowded,
    /// What the project brings along is more than the model reads.
    #[error(
        "the products of this project bring more text than the {context} tokens that the model reads; disable some of them or use a model with a larger context"
    )]
    TooLong {
        /// Tokens that the model reads.
        context: u64,
    },
    /// A product can never be used as it is published.
    #[error("the product {name} can never be used as it is published: {fault}; disable it")]
    Unusable {
        /// Its number.
        id: ProductId,
        /// Its name.
        name: String,
        /// Why.
        fault: ProductFault,
    },
    /// A product costs more than the contract of the project's organization accepts.
    #[error(
        "the product {name} costs {price} USDT per call, more than the {} that the contract of the project's organization accepts; its owner or an admin accepts the price in force by calling enableProduct again, or the project disables the product",
        .maximum.map_or_else(|| "maximum".to_owned(), |maximum| format!("{maximum} USDT"))
    )]
    Price {
        /// Its number.
        id: ProductId,
        /// Its name.
        name: String,
        /// The price in force.
        price: Usdt,
        /// What the contract accepts; `None` beyond our range.
        maximum: Option<Usdt>,
    },
    /// The contract of the project's organization does not accept calls of a product any more.
    #[error(
        "the contract of the project's organization does not accept calls of the product {name}; its owner or an admin calls enableProduct, or the project disables the product"
    )]
    NotOnChain {
        /// Its name.
        name: String,
    },
    /// The payer did not accept another organization's project, or not at its price.
    #[error(transparent)]
    Payer(#[from] PayerRefusal),
    /// A conversation is named and the project keeps none.
    #[error(
        "this project keeps no memory; enable it with PATCH /v1/projects/{{id}}, or leave the header Haithe-Conversation out"
    )]
    MemoryOff,
    /// No such conversation of the caller's.
    #[error("no such conversation")]
    Conversation,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for GearError {
    fn kind(&self) -> Kind {
        match self {
            Self::Product { .. } | Self::Crowded => Kind::Unavailable,
            Self::Unaffordable { .. } | Self::Price { .. } => Kind::PaymentRequired,
            Self::Unusable { .. } => Kind::Unprocessable,
            Self::NotOnChain { .. } => Kind::Conflict,
            Self::Payer(refusal) => refusal.kind(),
            Self::MemoryOff | Self::TooLong { .. } => Kind::Invalid,
            Self::Conversation => Kind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Product { .. } => "product_unavailable",
            Self::Unaffordable { .. } => "insufficient_quota",
            Self::Crowded => "overloaded",
            Self::TooLong { .. } => "context_length_exceeded",
            Self::Unusable { .. } => "product_unusable",
            Self::Price { .. } => "price_above_maximum",
            Self::NotOnChain { .. } => "product_not_enabled_on_chain",
            Self::Payer(refusal) => refusal.code(),
            Self::MemoryOff => "memory_disabled",
            Self::Conversation => "not_found",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Product { .. } => Some(5),
            Self::Crowded => Some(1),
            Self::Unusable { .. }
            | Self::Price { .. }
            | Self::NotOnChain { .. }
            | Self::Payer(_)
            | Self::MemoryOff
            | Self::Conversation
            | Self::Unaffordable { .. }
            | Self::TooLong { .. } => None,
            Self::Store(error) => error.retry_after(),
        }
    }
    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Payer(refusal) => refusal.details(),
            Self::Unusable { id, fault, .. } => {
                let mut details = vec![("product_id", id.0.to_string())];
                details.extend(fault.details());
                details
            }
            Self::Price {
                id, price, maximum, ..
            } => {
                let mut details = vec![
                    ("product_id", id.0.to_string()),
                    ("price_per_call_usdt", price.to_string()),
                ];
                details.extend(maximum.map(|maximum| ("max_price_per_call_usdt", maximum.to_string())));
                details
            }
            _ => Vec::new(),
        }
    }
}

/// One kind of thing that calls of projects bring along: products, web search, memory.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Gear: Send + Sync {
    /// Whether it has anything for such a call. Asked on every call: it computes, and never waits.
    fn wanted(&self, caller: &Caller, conversation: Option<ConversationId>) -> bool;
    /// What it brings.
    ///
    /// # Errors
    /// [`GearError`]; the call is refused before any money is set aside.
    async fn equip(&self, wish: &Wish) -> Result<Equipment, GearError>;
    /// The call was answered and charged.
    async fn answered(&self, wish: &Wish, exchange: &Exchange);
}

#[cfg(test)]
impl Room {
    /// Money and context without an end.
    pub(crate) fn unlimited() -> Self {
        Self {
            available: Usdt::MAX,
            quote: Quote {
                model: crate::catalogue::Price::default(),
                project: None,
                products: Usdt::ZERO,
            },
            context: u64::MAX,
        }
    }
}

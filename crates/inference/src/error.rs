//! Why a completion was refused or failed, fit for a stranger.

use crate::{
    agent::GearError,
    ports::{AllowanceSpent, CounterBusy, UpstreamError},
};
use haithe_billing::hold::HoldError;
use haithe_kernel::{Failure, Kind, StoreError, Usdt};
use haithe_orgs::PayerRefusal;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CompletionError {
    /// The request breaks a rule of the dialect.
    #[error("{message}")]
    Invalid {
        /// The field at fault, as the caller wrote it, where there is one.
        param: Option<String>,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A field that would change the price in a way the catalogue does not price.
    #[error("{param} is not supported: {reason}")]
    Unsupported {
        /// The field.
        param: String,
        /// Why.
        reason: &'static str,
    },
    /// The body is larger than allowed.
    #[error("the request is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The caller's key is limited to other models.
    #[error("this API key may not use the model {model}")]
    KeyScope {
        /// The model asked for.
        model: String,
    },
    /// No such model.
    #[error("the model {model} does not exist; GET /models lists those you can use")]
    UnknownModel {
        /// The model asked for.
        model: String,
    },
    /// The organization has not enabled it.
    #[error("the model {model} is not enabled for this organization; an admin can enable it")]
    NotEnabled {
        /// The model asked for.
        model: String,
    },
    /// More input than the model reads.
    #[error("{param} is longer than the {context} tokens that the model {model} reads; shorten it")]
    ContextExceeded {
        /// The model.
        model: String,
        /// Tokens it reads.
        context: u64,
        /// The field that is too long.
        param: &'static str,
    },
    /// The call would pay more payees than a settlement line can hold.
    #[error(
        "this call would pay {payees} payees (the platform, the project's owner and the creators of its products), more than the {most} allowed; disable products of the project"
    )]
    TooManyPayees {
        /// How many there would be.
        payees: usize,
        /// The bound.
        most: usize,
    },
    /// The tokens of this minute are spent.
    #[error(
        "the limit of {} tokens a minute is reached ({}); try again in {} s",
        .0.per_minute, .0.of, .0.retry_after
    )]
    TokenRate(AllowanceSpent),
    /// Too many long prompts are being counted. Nothing was set aside.
    #[error(transparent)]
    Counting(#[from] CounterBusy),
    /// Nothing could be set aside for the call, so the model never heard of it.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The payer did not accept another organization's project, or not at its price. Nothing was set aside.
    #[error(transparent)]
    Payer(#[from] PayerRefusal),
    /// The caller's own limit does not cover the least that the call can cost. Nothing was set aside.
    #[error(
        "this call costs at least {least} USDT, more than the {maximum} USDT that the header Haithe-Max-Cost allows; raise it, shorten the request or choose a cheaper model"
    )]
    MaxCost {
        /// The least that the call can cost.
        least: Usdt,
        /// The caller's limit.
        maximum: Usdt,
    },
    /// What the project brings along cannot be had. Nothing was set aside.
    #[error(transparent)]
    Gear(#[from] GearError),
    /// The provider gave no answer. Nothing is charged.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The answer is there but its charge could not be written down, so it is withheld.
    #[error("the charge for this call could not be recorded, so its answer is withheld; try again")]
    Capture(#[source] StoreError),
    /// The work was cut off by a defect or a stop of the service.
    #[error("the call was interrupted; try again")]
    Interrupted,
}

impl CompletionError {
    /// A broken rule about `param`.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            param: Some(param.into()),
            message: message.into(),
        }
    }

    /// A broken rule about the body as a whole.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::Invalid {
            param: None,
            message: message.into(),
        }
    }

    /// The field at fault, for the dialect's `param`.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid { param, .. } => param.as_deref(),
            Self::Unsupported { param, .. } => Some(param),
            Self::ContextExceeded { param, .. } => Some(param),
            Self::KeyScope { .. } | Self::UnknownModel { .. } | Self::NotEnabled { .. } => Some("model"),
            Self::Upstream(UpstreamError::Refused { param, .. }) => param.as_deref(),
            Self::TooLarge { .. }
            | Self::TooManyPayees { .. }
            | Self::TokenRate(_)
            | Self::Counting(_)
            | Self::Hold(_)
            | Self::Payer(_)
            | Self::MaxCost { .. }
            | Self::Gear(_)
            | Self::Upstream(_)
            | Self::Capture(_)
            | Self::Interrupted => None,
        }
    }
}

impl Failure for CompletionError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. }
            | Self::Unsupported { .. }
            | Self::ContextExceeded { .. }
            | Self::TooManyPayees { .. } => Kind::Invalid,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::KeyScope { .. } | Self::NotEnabled { .. } => Kind::Forbidden,
            Self::UnknownModel { .. } => Kind::NotFound,
            Self::TokenRate(_) => Kind::RateLimited,
            Self::Counting(_) => Kind::Unavailable,
            Self::Hold(error) => error.kind(),
            Self::Payer(refusal) => refusal.kind(),
            Self::MaxCost { .. } => Kind::PaymentRequired,
            Self::Gear(error) => error.kind(),
            Self::Upstream(error) => error.kind(),
            Self::Capture(_) => Kind::Unavailable,
            Self::Interrupted => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_request",
            Self::Unsupported { .. } => "unsupported_parameter",
            Self::TooLarge { .. } => "request_too_large",
            Self::KeyScope { .. } => "key_scope",
            Self::UnknownModel { .. } => "model_not_found",
            Self::NotEnabled { .. } => "model_not_enabled",
            Self::ContextExceeded { .. } => "context_length_exceeded",
            Self::TooManyPayees { .. } => "too_many_payees",
            Self::TokenRate(_) => "rate_limited",
            Self::Counting(_) => "overloaded",
            Self::Hold(error) => error.code(),
            Self::Payer(refusal) => refusal.code(),
            Self::MaxCost { .. } => "max_cost_exceeded",
            Self::Gear(error) => error.code(),
            Self::Upstream(error) => error.code(),
            Self::Capture(_) => "charge_not_recorded",
            Self::Interrupted => "interrupted",
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TokenRate(spent) => Some(spent.retry_after),
            Self::Hold(error) => error.retry_after(),
            Self::Gear(error) => error.retry_after(),
            Self::Upstream(error) => error.retry_after(),
            Self::Capture(_) | Self::Interrupted | Self::Counting(_) => Some(1),
            _ => None,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Payer(refusal) => refusal.details(),
            Self::Gear(error) => error.details(),
            Self::MaxCost { least, maximum } => vec![
                ("least_cost_usdt", least.to_string()),
                ("max_cost_usdt", maximum.to_string()),
            ],
            _ => Vec::new(),
        }
    }
}

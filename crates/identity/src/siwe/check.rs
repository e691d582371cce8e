//! Holds a message that a client composed against the challenge it answers.

use super::{SignIn, SiweMessage};
use crate::challenge::StoredChallenge;
use haithe_kernel::Timestamp;
use std::fmt;
use url::Url;

/// The field of a message that does not fit its challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The site is no longer configured.
    Site,
    /// Another scheme than the site's.
    Scheme,
    /// Another domain than the site's.
    Domain,
    /// Another address than the challenge's.
    Address,
    /// A URI outside the site.
    Uri,
    /// Another chain than the service's.
    Chain {
        /// The chain ID in the message.
        stated: u64,
        /// The chain ID of the service.
        expected: u64,
    },
    /// Issued outside the challenge's life.
    IssuedAt,
    /// The message's own expiration time has passed.
    Expired {
        /// That time.
        at: Timestamp,
    },
    /// The message is valid for longer than the challenge.
    Expiration,
    /// The message is not valid yet.
    NotBefore {
        /// When it becomes valid.
        at: Timestamp,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::Chain { stated, expected } => return write!(f, "chain ID {stated} instead of {expected}"),
            Self::Expired { at } => return write!(f, "it expired at {at}"),
            Self::NotBefore { at } => return write!(f, "it is not valid before {at}"),
            Self::Site => "the site is not ours any more",
            Self::Scheme => "the scheme is not the site's",
            Self::Domain => "the domain is not the site's",
            Self::Address => "the address is not the challenge's",
            Self::Uri => "the URI is outside the site",
            Self::IssuedAt => "it was issued outside the challenge's life",
            Self::Expiration => "it is valid for longer than the challenge",
        };
        f.write_str(fixed)
    }
}

impl Mismatch {
    /// The text for the client, where the client's own message shows the reason.
    pub(crate) fn explanation(self) -> Option<String> {
        match self {
            Self::Chain { stated, expected } => Some(format!(
                "the message has chain ID {stated}, but this service uses chain ID {expected}; \
                 request a new nonce and sign it for chain ID {expected}"
            )),
            Self::Expired { at } => Some(format!(
                "the message expired at {at}; request a new nonce and sign it before it expires"
            )),
            Self::NotBefore { at } => Some(format!(
                "the message is not valid before {at}; log in after that, or request a new nonce"
            )),
            Self::Site
            | Self::Scheme
            | Self::Domain
            | Self::Address
            | Self::Uri
            | Self::IssuedAt
            | Self::Expiration => None,
        }
    }
}

impl SignIn {
    /// Checks what the message alone shows: its chain, and whether it is valid at `now`.
    ///
    /// # Errors
    /// [`Mismatch::Chain`], [`Mismatch::Expired`] or [`Mismatch::NotBefore`].
    pub fn check_text(&self, message: &SiweMessage, now: Timestamp) -> Result<(), Mismatch> {
        let (stated, expected) = (message.chain_id, self.chain_id);
        if stated != expected {
            return Err(Mismatch::Chain { stated, expected });
        }
        match (message.expiration_time, message.not_before) {
            (Some(at), _) if at <= now => Err(Mismatch::Expired { at }),
            (_, Some(at)) if at > now => Err(Mismatch::NotBefore { at }),
            _ => Ok(()),
        }
    }

    /// Whether the message is an answer to this challenge, whose nonce it names.
    ///
    /// Its statement, request id and resources are the client's own. It may narrow the time in which
    /// it is valid, never widen it.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn check(
        &self,
        message: &SiweMessage,
        challenge: &StoredChallenge,
        now: Timestamp,
    ) -> Result<(), Mismatch> {
        self.check_text(message, now)?;
        let site = self.site(Some(&challenge.site)).ok_or(Mismatch::Site)?;
        let must = |fits: bool, otherwise| if fits { Ok(()) } else { Err(otherwise) };
        must(message.domain == site.domain, Mismatch::Domain)?;
        let scheme = message.scheme.as_deref();
        must(
            scheme.is_none_or(|scheme| scheme == site.uri.scheme()),
            Mismatch::Scheme,
        )?;
        must(message.address == challenge.address, Mismatch::Address)?;
        let uri = Url::parse(&message.uri).ok();
        must(
            uri.is_some_and(|uri| uri.origin().is_tuple() && uri.origin() == site.uri.origin()),
            Mismatch::Uri,
        )?;
        let life = challenge.issued_at..=challenge.expires_at;
        must(life.contains(&message.issued_at), Mismatch::IssuedAt)?;
        let ends = message.expiration_time;
        must(
            ends.is_none_or(|at| at <= challenge.expires_at),
            Mismatch::Expiration,
        )
    }
}

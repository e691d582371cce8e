//! Holds a message that a client composed against the challenge it answers.

use super::{SignIn, SiweMessage};
use crate::challenge::StoredChallenge;
use haithe_kernel::Timestamp;
use std::fmt;
use url::Url;

/// Which field is not the challenge's. For the log: callers are told that it was refused, and no more.
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
    /// Another chain.
    Chain,
    /// Issued outside the challenge's life.
    IssuedAt,
    /// Over, or lasting beyond the challenge.
    Expiration,
    /// Not yet valid.
    NotBefore,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Site => "the site is not ours any more",
            Self::Scheme => "the scheme is not the site's",
            Self::Domain => "the domain is not the site's",
            Self::Address => "the address is not the challenge's",
            Self::Uri => "the URI is outside the site",
            Self::Chain => "the chain is another",
            Self::IssuedAt => "it was issued outside the challenge's life",
            Self::Expiration => "it is over, or lasts beyond the challenge",
            Self::NotBefore => "it is not valid yet",
        })
    }
}

impl SignIn {
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
        must(message.chain_id == self.chain_id, Mismatch::Chain)?;
        let life = challenge.issued_at..=challenge.expires_at;
        must(life.contains(&message.issued_at), Mismatch::IssuedAt)?;
        let ends = message.expiration_time;
        must(
            ends.is_none_or(|at| now < at && at <= challenge.expires_at),
            Mismatch::Expiration,
        )?;
        must(message.not_before.is_none_or(|at| at <= now), Mismatch::NotBefore)
    }
}

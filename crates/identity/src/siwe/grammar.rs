//! Reads a message by the ABNF of EIP-4361, line by line, and nothing beyond it.

use super::{
    SiweMessage, VERSION,
    rfc::{date_time, is_authority, is_pchars, is_scheme, is_statement, is_uri},
};
use haithe_kernel::WalletAddress;
use std::str::{FromStr, Split};

/// Longest message read, in bytes. The grammar knows no bound.
pub(super) const LONGEST: usize = 8 * 1024;

/// Why a text is no sign-in message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiweError {
    /// Longer than we read.
    #[error("a sign-in message has at most {LONGEST} bytes")]
    TooLong,
    /// A line is missing, or is not what the grammar has there.
    #[error("line {number} of a sign-in message (EIP-4361) must be {expected}")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What the grammar has there.
        expected: &'static str,
    },
}

/// The lines that are left. Only LF ends one; CR fits no rule and is refused by each.
struct Lines<'t> {
    rest: std::iter::Peekable<Split<'t, char>>,
    number: usize,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            rest: text.split('\n').peekable(),
            number: 0,
        }
    }

    /// The next line as `read` understands it.
    fn line<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'t str) -> Option<T>,
    ) -> Result<T, SiweError> {
        self.number += 1;
        let number = self.number;
        self.rest
            .next()
            .and_then(read)
            .ok_or(SiweError::Line { number, expected })
    }

    /// The next line, if it begins with `label`.
    fn optional<T>(
        &mut self,
        label: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'t str) -> Option<T>,
    ) -> Result<Option<T>, SiweError> {
        if !self.rest.peek().is_some_and(|line| line.starts_with(label)) {
            return Ok(None);
        }
        self.line(expected, |line| read(line.strip_prefix(label)?))
            .map(Some)
    }

    fn is_empty(&mut self) -> bool {
        self.rest.peek().is_none()
    }
}

impl FromStr for SiweMessage {
    type Err = SiweError;

    fn from_str(text: &str) -> Result<Self, SiweError> {
        if text.len() > LONGEST {
            return Err(SiweError::TooLong);
        }
        let mut lines = Lines::of(text);
        let (scheme, domain) = lines.line(
            "`<domain> wants you to sign in with your Ethereum account:`",
            preamble,
        )?;
        let address = lines.line("the address in the mixed case of EIP-55", address)?;
        lines.line("empty", blank)?;
        let statement = lines.line("empty, or a statement in plain characters", |line| {
            is_statement(line).then_some(line)
        })?;
        let statement = if statement.is_empty() {
            None
        } else {
            lines.line("empty", blank)?;
            Some(statement.to_owned())
        };
        let uri = lines.line("`URI: <URI of RFC 3986>`", |line| {
            read_uri(line.strip_prefix("URI: ")?)
        })?;
        lines.line("`Version: 1`", |line| {
            (line.strip_prefix("Version: ")? == VERSION).then_some(())
        })?;
        let chain_id = lines.line("`Chain ID: <digits>`", |line| {
            number(line.strip_prefix("Chain ID: ")?)
        })?;
        let nonce = lines.line("`Nonce: <8 or more letters and digits>`", |line| {
            nonce(line.strip_prefix("Nonce: ")?)
        })?;
        let issued_at = lines.line("`Issued At: <time of RFC 3339>`", |line| {
            date_time(line.strip_prefix("Issued At: ")?)
        })?;
        let expiration_time = lines.optional(
            "Expiration Time: ",
            "`Expiration Time: <time of RFC 3339>`",
            date_time,
        )?;
        let not_before = lines.optional("Not Before: ", "`Not Before: <time of RFC 3339>`", date_time)?;
        let request_id = lines.optional("Request ID: ", "`Request ID: <pchars of RFC 3986>`", |id| {
            is_pchars(id).then(|| id.to_owned())
        })?;
        let mut resources = lines.optional("Resources:", "`Resources:`", |rest| {
            rest.is_empty().then(Vec::new)
        })?;
        while !lines.is_empty() {
            let Some(resources) = &mut resources else {
                return lines.line("the end, or the next field in the EIP's order", |_| None);
            };
            resources.push(lines.line("`- <URI of RFC 3986>`", |line| read_uri(line.strip_prefix("- ")?))?);
        }
        Ok(Self {
            scheme,
            domain,
            address,
            statement,
            uri,
            chain_id,
            nonce,
            issued_at,
            expiration_time,
            not_before,
            request_id,
            resources,
        })
    }
}

fn preamble(line: &str) -> Option<(Option<String>, String)> {
    let who = line.strip_suffix(" wants you to sign in with your Ethereum account:")?;
    let (scheme, domain) = match who.split_once("://") {
        Some((scheme, domain)) => (Some(scheme), domain),
        None => (None, who),
    };
    let fits = scheme.is_none_or(is_scheme) && is_authority(domain);
    fits.then(|| (scheme.map(str::to_owned), domain.to_owned()))
}

/// The EIP asks for the checksum where there is one, and every wallet of ours is an account.
fn address(line: &str) -> Option<WalletAddress> {
    let address: WalletAddress = line.parse().ok()?;
    (address.checksummed() == line).then_some(address)
}

fn blank(line: &str) -> Option<()> {
    line.is_empty().then_some(())
}

fn read_uri(text: &str) -> Option<String> {
    is_uri(text).then(|| text.to_owned())
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn nonce(text: &str) -> Option<String> {
    let fits = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| text.to_owned())
}

//! Use case: wait to be let in.

use crate::ports::Waitlist;
use haithe_kernel::{Clock, Failure, Kind, StoreError};
use std::{str::FromStr, sync::Arc};

/// Longest address (RFC 5321, section 4.5.3.1.3).
const LONGEST: usize = 254;

/// An e-mail address in lower case: something on both sides of its last `@`. Whether it exists, only
/// a mail to it can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// Why a text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address has an @ with something on both sides, no spaces, and at most {LONGEST} bytes")]
pub struct EmailError;

impl Email {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = EmailError;
    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let (name, host) = text.rsplit_once('@').ok_or(EmailError)?;
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if name.is_empty() || host.is_empty() || text.len() > LONGEST || text.contains(odd) {
            return Err(EmailError);
        }
        Ok(Self(text.to_lowercase()))
    }
}

/// Why nobody was added.
#[derive(Debug, thiserror::Error)]
pub enum WaitlistError {
    /// The address waits already.
    #[error("this address is already registered")]
    Registered,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for WaitlistError {
    fn kind(&self) -> Kind {
        match self {
            Self::Registered => Kind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Registered => "already_registered",
            Self::Store(error) => error.code(),
        }
    }
}

/// The list.
pub struct WaitingList {
    store: Arc<dyn Waitlist>,
    clock: Arc<dyn Clock>,
}

impl WaitingList {
    /// Composes the use case.
    pub fn new(store: Arc<dyn Waitlist>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`WaitlistError::Registered`] when it is there already, in any case of letters.
    pub async fn join(&self, email: Email) -> Result<(), WaitlistError> {
        if self.store.add(email, self.clock.now()).await? {
            Ok(())
        } else {
            Err(WaitlistError::Registered)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_lower_case_and_has_two_sides() {
        assert_eq!(
            " A.B@Example.COM ".parse::<Email>().unwrap().as_str(),
            "a.b@example.com"
        );
        assert_eq!("\"a@b\"@c".parse::<Email>().unwrap().as_str(), "\"a@b\"@c");
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b\n",
            "a@b\u{0}",
            &format!("{}@b", "a".repeat(254)),
        ] {
            let parsed = text.parse::<Email>();
            // A line break at the end is white space around the address, not in it.
            assert_eq!(parsed.is_err(), text != "a@b\n", "{text:?}");
        }
    }
}

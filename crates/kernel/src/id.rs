//! Identifiers. A number is internal; a uid is public.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// An organization's number in the database; REST paths carry it.
    OrgId
);
number!(
    /// A project's number in the database; REST paths carry it.
    ProjectId
);
number!(
    /// A model's number in the catalogue (`config/models.toml`).
    ModelId
);
number!(
    /// A product's number in the database.
    ProductId
);

/// Why a text is not a uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 32 hexadecimal digits, with or without its prefix")]
pub struct UidError;

macro_rules! uid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// From the 16 bytes of a version 4 or 7 UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The raw UUID.
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = UidError;
            fn from_str(text: &str) -> Result<Self, UidError> {
                let digits = text.strip_prefix($prefix).unwrap_or(text);
                if digits.len() != 32 {
                    return Err(UidError);
                }
                Uuid::try_parse(digits).map(Self).map_err(|_| UidError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl TryFrom<String> for $name {
            type Error = UidError;
            fn try_from(text: String) -> Result<Self, UidError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(uid: $name) -> Self {
                uid.to_string()
            }
        }
    };
}

uid!(
    /// An organization's public identifier: 32 hex digits, `org-` accepted in front.
    OrgUid,
    "org-"
);
uid!(
    /// A project's public identifier: 32 hex digits, `proj-` accepted in front.
    ProjectUid,
    "proj-"
);

/// One call of a model: a version 7 UUID, unique for ever. It names the call's hold, its ledger
/// transaction (`call/<id>`), its usage record and its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub Uuid);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_optional_on_input_and_absent_on_output() {
        let digits = "0190a0b0c0d0e0f00102030405060708";
        let plain: OrgUid = digits.parse().unwrap();
        assert_eq!(format!("org-{digits}").parse(), Ok(plain));
        assert_eq!(plain.to_string(), digits);
        assert_eq!(digits.to_uppercase().parse(), Ok(plain));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "org-",
            "proj-0190a0b0c0d0e0f00102030405060708",
            "0190a0b0-c0d0-e0f0-0102-030405060708",
        ] {
            assert_eq!(text.parse::<OrgUid>(), Err(UidError), "{text}");
        }
    }
}

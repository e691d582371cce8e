//! Between rows and the domain's types. A value that breaks an invariant names its column and never panics.

use haithe_billing::{
    capture::Payee,
    ledger::{Account, SpendingSubject},
};
use haithe_identity::api_key::{ApiKeyId, KeyHash};
use haithe_identity::session::SessionId;
use haithe_kernel::{
    CallId, ClientIp, ClientNetwork, ModelId, OrgId, OrgUid, ProductId, ProjectId, ProjectUid, StoreError,
    Timestamp, TokenUnits, Usdt, WalletAddress,
};
use sqlx::{Column, Decode, Postgres, Row, Type, postgres::PgRow};
use uuid::Uuid;

/// The columns of a row, read by name.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r PgRow) -> Self {
        Self { row }
    }

    /// Reads the result column `column`. `place` is `table.column`, which the error names.
    pub(crate) fn get<T: Field>(&self, place: &'static str) -> Result<T, StoreError> {
        let name = place.rsplit_once('.').map_or(place, |(_, column)| column);
        self.get_as(name, place)
    }

    /// Reads the result column that the statement calls `name` (`AS name`), because two tables have a column of
    /// one name or because it is computed. `place` is `table.column`, which the error names.
    pub(crate) fn get_as<T: Field>(&self, name: &str, place: &'static str) -> Result<T, StoreError> {
        debug_assert!(
            self.row
                .columns()
                .iter()
                .filter(|column| column.name() == name)
                .count()
                == 1,
            "the statement must return one column `{name}` for {place}"
        );
        let raw: T::Raw = self
            .row
            .try_get(name)
            .map_err(|_| StoreError::inconsistent(place))?;
        T::from_raw(raw).ok_or_else(|| StoreError::inconsistent(place))
    }
}

/// A value that a column can hold.
pub(crate) trait Field: Sized {
    /// What PostgreSQL stores it as.
    type Raw: for<'r> Decode<'r, Postgres> + Type<Postgres>;
    /// `None` when the stored value breaks the type's invariant.
    fn from_raw(raw: Self::Raw) -> Option<Self>;
}

macro_rules! field {
    ($type:ty, $raw:ty, $read:expr) => {
        impl Field for $type {
            type Raw = $raw;
            fn from_raw(raw: $raw) -> Option<Self> {
                let read: fn($raw) -> Option<Self> = $read;
                read(raw)
            }
        }
    };
}

field!(i64, i64, Some);
field!(u64, i64, |raw| raw.try_into().ok());
field!(u32, i64, |raw| raw.try_into().ok());
field!(u16, i64, |raw| raw.try_into().ok());
field!(u8, i64, |raw| raw.try_into().ok());
field!(bool, bool, Some);
field!(String, String, Some);
field!(Vec<u8>, Vec<u8>, Some);
field!(Vec<String>, Vec<String>, Some);
field!(Vec<ModelId>, Vec<i64>, |raw| Some(
    raw.into_iter().map(ModelId).collect()
));
field!(Vec<ProductId>, Vec<i64>, |raw| Some(
    raw.into_iter().map(ProductId).collect()
));
field!([u8; 32], Vec<u8>, |raw| raw.try_into().ok());
field!(Timestamp, i64, |raw| Some(Self::from_micros(raw)));
field!(Usdt, i64, |raw| Some(Self::from_nano(raw)));
field!(TokenUnits, String, |raw| raw.parse().ok());
field!(u128, String, |raw| raw.parse().ok());
field!(WalletAddress, Vec<u8>, |raw| raw.try_into().ok().map(Self::new));
field!(Uuid, Vec<u8>, |raw| Self::from_slice(&raw).ok());
field!(OrgUid, Vec<u8>, |raw| Uuid::from_slice(&raw).ok().map(Self::new));
field!(ProjectUid, Vec<u8>, |raw| Uuid::from_slice(&raw)
    .ok()
    .map(Self::new));
field!(CallId, Vec<u8>, |raw| Uuid::from_slice(&raw).ok().map(Self));
field!(OrgId, i64, |raw| Some(Self(raw)));
field!(ProjectId, i64, |raw| Some(Self(raw)));
field!(ModelId, i64, |raw| Some(Self(raw)));
field!(ProductId, i64, |raw| Some(Self(raw)));
field!(ApiKeyId, i64, |raw| Some(Self(raw)));
field!(KeyHash, Vec<u8>, |raw| raw.try_into().ok().map(Self));
field!(SessionId, Vec<u8>, |raw| raw.try_into().ok().map(Self));
field!(ClientIp, String, |raw| raw.parse().ok());
field!(ClientNetwork, String, |raw| raw.parse().ok());
field!(Payee, String, |raw| read_payee(&raw));
field!(Account, String, |raw| raw.parse().ok());
field!(i128, String, |raw| raw.parse().ok());
field!(SpendingSubject, String, |raw| raw.parse().ok());

impl<T: Field> Field for Option<T>
where
    Option<T::Raw>: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    type Raw = Option<T::Raw>;
    fn from_raw(raw: Self::Raw) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(raw) => T::from_raw(raw).map(Some),
        }
    }
}

/// A sum that a statement returns in two halves, `high` and `low`, because in 64 bits it could overflow.
pub(crate) fn halves(columns: &Columns<'_>, place: &'static str) -> Result<i128, StoreError> {
    let high: i64 = columns.get_as("high", place)?;
    let low: i64 = columns.get_as("low", place)?;
    Ok((i128::from(high) << 32) + i128::from(low))
}

/// The bytes of an address, as a column holds them.
pub(crate) fn address(address: WalletAddress) -> Vec<u8> {
    address.as_bytes().to_vec()
}

/// The bytes of a uuid, as a column holds them.
pub(crate) fn uuid(uuid: Uuid) -> Vec<u8> {
    uuid.as_bytes().to_vec()
}

/// A number that must fit the database's signed 64 bits; `place` is `table.column`.
pub(crate) fn number(number: impl TryInto<i64>, place: &'static str) -> Result<i64, StoreError> {
    number
        .try_into()
        .map_err(|_| StoreError::new(format!("a number beyond 63 bits cannot be stored in {place}")))
}

/// `platform`, `creator/0x…` or `org/…`.
pub(crate) fn payee(payee: Payee) -> String {
    match payee {
        Payee::Platform => "platform".to_owned(),
        Payee::Creator(address) => format!("creator/{address}"),
        Payee::Organization(org) => format!("org/{org}"),
    }
}

fn read_payee(text: &str) -> Option<Payee> {
    match text.split_once('/') {
        None if text == "platform" => Some(Payee::Platform),
        Some(("creator", address)) => address.parse().ok().map(Payee::Creator),
        Some(("org", id)) => id.parse().ok().map(|id| Payee::Organization(OrgId(id))),
        _ => None,
    }
}

/// A text as PostgreSQL can hold it: its `TEXT` has no U+0000, which becomes U+FFFD.
pub(crate) fn text(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payee_reads_back_from_its_text() {
        let creator = Payee::Creator(WalletAddress::new([7; 20]));
        for one in [Payee::Platform, creator, Payee::Organization(OrgId(12))] {
            assert_eq!(read_payee(&payee(one)), Some(one));
        }
        assert_eq!(read_payee("org/x"), None);
        assert_eq!(read_payee("nobody"), None);
    }

    #[test]
    fn a_number_beyond_63_bits_is_refused() {
        assert!(number(u64::MAX, "t.c").is_err());
        assert_eq!(number(7u64, "t.c").unwrap(), 7);
    }

    #[test]
    fn a_text_is_stored_without_the_character_that_postgresql_refuses() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        assert_eq!(text("ab"), "ab");
    }
}

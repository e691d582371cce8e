//! Between rows and the domain's types. A value that breaks an invariant names its column and never panics.

use crate::db::Statement;
use futures::TryStreamExt;
use haithe_billing::{capture::Payee, ledger::Account};
use haithe_identity::api_key::{ApiKeyId, KeyHash};
use haithe_identity::session::SessionId;
use haithe_kernel::{
    CallId, ClientIp, ClientNetwork, ModelId, OrgId, OrgUid, ProductId, ProjectId, ProjectUid, StoreError,
    Timestamp, TokenUnits, Usdt, WalletAddress,
};
use sqlx::{Column, Decode, Row, Sqlite, SqliteConnection, Type, sqlite::SqliteRow};
use uuid::Uuid;

/// The columns of a row, read by name.
pub(crate) struct Columns<'r> {
    row: &'r SqliteRow,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r SqliteRow) -> Self {
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

/// Reads each row as it comes, so that a batch's rows, of which each takes many times what is read of
/// it, are never in memory together.
pub(crate) async fn read_each<T>(
    connection: &mut SqliteConnection,
    statement: Statement,
    mut read: impl FnMut(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.fetch(connection);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(StoreError::new)? {
        all.push(read(&Columns::of(&row))?);
    }
    Ok(all)
}

/// A value that a column can hold.
pub(crate) trait Field: Sized {
    /// What SQLite stores it as.
    type Raw: for<'r> Decode<'r, Sqlite> + Type<Sqlite>;
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
field!(bool, i64, |raw| match raw {
    0 => Some(false),
    1 => Some(true),
    _ => None,
});
field!(String, String, Some);
field!(Vec<u8>, Vec<u8>, Some);
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

impl<T: Field> Field for Option<T>
where
    Option<T::Raw>: for<'r> Decode<'r, Sqlite> + Type<Sqlite>,
{
    type Raw = Option<T::Raw>;
    fn from_raw(raw: Self::Raw) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(raw) => T::from_raw(raw).map(Some),
        }
    }
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

/// Numbers as the text of a JSON list, for `json_each`.
pub(crate) fn json_list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
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
}

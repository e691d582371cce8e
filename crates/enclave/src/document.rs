//! What a Nitro attestation document says, without judging who signed it.
//!
//! A document is a COSE_Sign1 (RFC 9052 §4.2): an array of protected headers, unprotected headers,
//! payload and signature. The payload is a map; `public_key` and `user_data` are bytes or null.

use ciborium::Value;

/// Tag of a COSE_Sign1, which the module leaves out.
const COSE_SIGN1: u64 = 18;

/// Not a Nitro attestation document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent's report is no Nitro attestation document")]
pub struct DocumentError;

/// The parts that a caller chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// `public_key`.
    pub public_key: Option<Vec<u8>>,
    /// `user_data`.
    pub user_data: Option<Vec<u8>>,
}

impl Stated {
    /// Reads a document.
    pub fn of(document: &[u8]) -> Result<Self, DocumentError> {
        let payload = match read(document)? {
            Value::Tag(COSE_SIGN1, inside) => payload(*inside)?,
            bare => payload(bare)?,
        };
        let Value::Map(fields) = read(&payload)? else {
            return Err(DocumentError);
        };
        Ok(Self {
            public_key: field(&fields, "public_key")?,
            user_data: field(&fields, "user_data")?,
        })
    }
}

/// One CBOR item and nothing behind it.
fn read(bytes: &[u8]) -> Result<Value, DocumentError> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|_| DocumentError)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DocumentError)
    }
}

fn payload(sign1: Value) -> Result<Vec<u8>, DocumentError> {
    let parts = sign1.into_array().map_err(|_| DocumentError)?;
    let parts: [Value; 4] = parts.try_into().map_err(|_| DocumentError)?;
    match parts {
        [
            Value::Bytes(_),
            Value::Map(_),
            Value::Bytes(payload),
            Value::Bytes(_),
        ] => Ok(payload),
        _ => Err(DocumentError),
    }
}

/// Absent and null are the same; twice, or of another type, is no document.
fn field(fields: &[(Value, Value)], name: &str) -> Result<Option<Vec<u8>>, DocumentError> {
    let mut found = fields.iter().filter(|(key, _)| key.as_text() == Some(name));
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, Value::Null)), None) => Ok(None),
        (Some((_, Value::Bytes(bytes))), None) => Ok(Some(bytes.clone())),
        _ => Err(DocumentError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn document(fields: Vec<(&str, Value)>) -> Value {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (Value::from(name), value))
            .collect();
        Value::Array(vec![
            Value::Bytes(vec![0xa1, 0x01, 0x38, 0x22]),
            Value::Map(vec![]),
            Value::Bytes(encoded(&Value::Map(fields))),
            Value::Bytes(vec![0; 96]),
        ])
    }

    #[test]
    fn what_the_caller_chose_is_found_tagged_or_not() {
        let fields = || {
            vec![
                ("module_id", Value::from("i-0f1cd77-enc01")),
                ("public_key", Value::Bytes(vec![4, 5])),
                ("user_data", Value::Null),
            ]
        };
        let stated = Stated {
            public_key: Some(vec![4, 5]),
            user_data: None,
        };
        let bare = document(fields());
        assert_eq!(Stated::of(&encoded(&bare)), Ok(stated.clone()));
        let tagged = Value::Tag(COSE_SIGN1, Box::new(bare));
        assert_eq!(Stated::of(&encoded(&tagged)), Ok(stated));
    }

    #[test]
    fn anything_else_is_no_document() {
        let twice = document(vec![
            ("public_key", Value::Bytes(vec![1])),
            ("public_key", Value::Bytes(vec![2])),
        ]);
        let of_another_type = document(vec![("user_data", Value::from(7))]);
        let mut trailing = encoded(&document(vec![]));
        trailing.push(0);
        let deep = vec![0x81; 4_000];
        for bytes in [
            encoded(&twice),
            encoded(&of_another_type),
            trailing,
            deep,
            b"<html>".to_vec(),
            vec![],
            encoded(&Value::Array(vec![Value::Null; 4])),
        ] {
            assert_eq!(Stated::of(&bytes), Err(DocumentError), "{bytes:02x?}");
        }
    }
}

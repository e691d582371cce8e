//! Positional parameters, parsed into types.

use crate::RpcError;
use alloy::eips::BlockId;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The parameters of one call.
pub(crate) struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    /// # Errors
    /// They are neither absent nor an array.
    pub fn new(params: &'a Value) -> Result<Self, RpcError> {
        match params {
            Value::Null => Ok(Self(&[])),
            Value::Array(params) => Ok(Self(params)),
            _ => Err(RpcError::params(
                "non-array args: parameters are given by position",
            )),
        }
    }

    /// The parameter at `index`, called `name` in errors.
    ///
    /// # Errors
    /// It is missing or malformed.
    pub fn need<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, RpcError> {
        self.get(index, name)?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {index} ({name})")))
    }

    /// The parameter at `index`; absent and null are the same.
    ///
    /// # Errors
    /// It is malformed.
    pub fn get<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<Option<T>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("invalid argument {index} ({name}): {error}"))),
        }
    }

    /// The block at `index`, `latest` when absent.
    ///
    /// # Errors
    /// It is malformed.
    pub fn block(&self, index: usize) -> Result<BlockId, RpcError> {
        Ok(self.get(index, "block")?.unwrap_or(BlockId::latest()))
    }
}

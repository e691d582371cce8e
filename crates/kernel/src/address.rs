//! Ethereum addresses.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};
use std::{fmt, str::FromStr};

/// A 20-byte Ethereum account or contract address.
///
/// Parsed from 40 hex digits with or without `0x`, in any case; mixed case must carry a valid
/// EIP-55 checksum. Written in lower case; [`WalletAddress::checksummed`] gives the EIP-55 form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WalletAddress([u8; 20]);

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 40 hex digits.
    #[error("an address is 0x followed by 40 hexadecimal digits")]
    Form,
    /// Mixed case whose EIP-55 checksum is wrong.
    #[error("the address's checksum (EIP-55) is wrong: check for a typing error")]
    Checksum,
}

impl WalletAddress {
    /// The address made of these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Whether this is the zero address, which nobody controls.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 20]
    }

    /// `0x` and 40 digits in the mixed case of EIP-55.
    pub fn checksummed(&self) -> String {
        let lower = hex::encode(self.0);
        let digest = Keccak256::digest(lower.as_bytes());
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        let digits = lower.chars().zip(nibbles);
        let cased = digits.map(|(c, nibble)| if nibble >= 8 { c.to_ascii_uppercase() } else { c });
        std::iter::once('0')
            .chain(std::iter::once('x'))
            .chain(cased)
            .collect()
    }
}

impl FromStr for WalletAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AddressError::Form)?;
        let address = Self(bytes);
        let mixed = digits.contains(|c: char| c.is_ascii_lowercase())
            && digits.contains(|c: char| c.is_ascii_uppercase());
        if mixed && !address.checksummed().ends_with(digits) {
            return Err(AddressError::Checksum);
        }
        Ok(address)
    }
}

impl TryFrom<String> for WalletAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<WalletAddress> for String {
    fn from(address: WalletAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for WalletAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for WalletAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_eip_55_round_trip() {
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let address: WalletAddress = text.parse().unwrap();
            assert_eq!(address.checksummed(), text);
            assert_eq!(address.to_string(), text.to_lowercase());
        }
    }

    #[test]
    fn a_typing_error_in_mixed_case_is_refused() {
        let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
        assert_eq!(wrong.parse::<WalletAddress>(), Err(AddressError::Checksum));
    }

    #[test]
    fn texts_that_are_no_address_are_refused() {
        for text in [
            "",
            "0x",
            "0x12",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
            "０x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        ] {
            assert_eq!(text.parse::<WalletAddress>(), Err(AddressError::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_case_of_the_same_digits_is_the_same_address(bytes: [u8; 20]) {
            let address = WalletAddress::new(bytes);
            prop_assert_eq!(address.checksummed().parse(), Ok(address));
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            prop_assert_eq!(hex::encode_upper(bytes).parse(), Ok(address));
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = text.parse::<WalletAddress>();
        }
    }
}

//! Bindings made from the checked-in artifacts, and the artifacts' ABIs for others.
#![expect(
    clippy::too_many_arguments,
    reason = "events and calls have as many as the contracts gave them"
)]

use alloy::sol;
use serde::Deserialize;
use serde_json::value::RawValue;

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    HaitheOrchestrator,
    "../../abi/HaitheOrchestrator.json"
);

sol!(HaitheOrganization, "../../abi/HaitheOrganization.json");

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    TestUsdt,
    "../../abi/tUSDT.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    CreatorIdentity,
    "../../abi/HaitheCreatorIdentity.json"
);

sol!(SignatureProbe, "../../abi/SignatureProbe.json");

/// A contract whose ABI wallets and explorers want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in abi/")]
pub enum Contract {
    HaitheOrchestrator,
    HaitheOrganization,
    HaitheProduct,
    HaitheCreatorIdentity,
    TUsdt,
}

impl Contract {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::HaitheOrchestrator,
        Self::HaitheOrganization,
        Self::HaitheProduct,
        Self::HaitheCreatorIdentity,
        Self::TUsdt,
    ];

    /// Its name in Solidity.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HaitheOrchestrator => "HaitheOrchestrator",
            Self::HaitheOrganization => "HaitheOrganization",
            Self::HaitheProduct => "HaitheProduct",
            Self::HaitheCreatorIdentity => "HaitheCreatorIdentity",
            Self::TUsdt => "tUSDT",
        }
    }

    const fn artifact(self) -> &'static str {
        match self {
            Self::HaitheOrchestrator => include_str!("../../../abi/HaitheOrchestrator.json"),
            Self::HaitheOrganization => include_str!("../../../abi/HaitheOrganization.json"),
            Self::HaitheProduct => include_str!("../../../abi/HaitheProduct.json"),
            Self::HaitheCreatorIdentity => include_str!("../../../abi/HaitheCreatorIdentity.json"),
            Self::TUsdt => include_str!("../../../abi/tUSDT.json"),
        }
    }

    /// Its ABI: a JSON array.
    pub fn abi(self) -> &'static str {
        #[derive(Deserialize)]
        struct Artifact<'a> {
            #[serde(borrow)]
            abi: &'a RawValue,
        }
        serde_json::from_str::<Artifact<'_>>(self.artifact()).map_or("[]", |artifact| artifact.abi.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abi_is_a_json_array_with_entries() {
        for contract in Contract::ALL {
            let abi: Vec<serde_json::Value> = serde_json::from_str(contract.abi()).unwrap();
            assert!(!abi.is_empty(), "{}", contract.name());
        }
    }
}

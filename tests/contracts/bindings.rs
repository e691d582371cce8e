//! The checked-in artifacts as Rust.

#![expect(
    clippy::too_many_arguments,
    reason = "the generated functions take what the contracts' functions take"
)]

use alloy::sol;

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq)]
    HaitheOrchestrator,
    "../abi/HaitheOrchestrator.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    HaitheOrganization,
    "../abi/HaitheOrganization.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    HaitheCreatorIdentity,
    "../abi/HaitheCreatorIdentity.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    HaitheProduct,
    "../abi/HaitheProduct.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    tUSDT,
    "../abi/tUSDT.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    TrickyToken,
    "../abi/test/TrickyToken.json"
);
sol!(
    #[sol(rpc)]
    ContractWallet,
    "../abi/test/ContractWallet.json"
);
sol!(
    #[sol(rpc)]
    ContractWalletFactory,
    "../abi/test/ContractWalletFactory.json"
);
sol!(SignatureProbe, "../abi/SignatureProbe.json");

pub use Settlement::{Credit, Line};

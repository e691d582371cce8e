// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Functions of the orchestrator that organizations, products and the identity contract call
interface IHaitheOrchestrator {
    /// @notice The orchestrator's owner.
    function owner() external view returns (address);
    /// @notice The server's key.
    function server() external view returns (address);
    /// @notice Whether `product` was made by this orchestrator.
    function isProduct(address product) external view returns (bool);
    /// @notice Whether settlement and withdrawals are stopped.
    function paused() external view returns (bool);
    /// @notice Block time minus the time spent paused.
    function activeTime() external view returns (uint64);

    // Reports by organizations. Each emits the event of the same name.

    function reportFunded(uint256 amount) external;
    function reportRoleChanged(address account, uint8 role) external;
    function reportOwnershipOffered(address currentOwner, address newOwner) external;
    function reportOwnershipTransferred(address previousOwner, address newOwner) external;
    function reportDailyCapChanged(uint256 cap, uint64 effectiveAt) external;
    function reportProductEnabled(address product, uint256 maxPrice) external;
    function reportProductDisabled(address product) external;
    function reportWithdrawalRequested(address to, uint256 amount, uint64 readyAt, uint64 validUntil) external;
    function reportWithdrawalExecuted(address to, uint256 amount) external;
    function reportWithdrawalCancelled() external;

    // Reports by products.

    function reportPriceChanged(uint256 pricePerCall) external;
    function reportPriceScheduled(uint256 price, uint256 nextPrice, uint64 nextPriceAt) external;
    function reportUriChanged(string calldata uri) external;
    function reportProductRetired() external;

    /// @notice Pays `amount` of the earnings of identity `id` of `creator` to `to`. Called by the identity contract,
    /// which keeps the accounts.
    function payCreator(uint256 id, address creator, address to, uint256 amount) external;

    // Reports by the identity contract.

    function reportPayoutAddressProposed(uint256 id, address creator, address payout, uint64 effectiveAt) external;
    function reportPayoutAddressCancelled(uint256 id, address creator) external;

    // Reports by organizations and the identity contract.

    function reportStrayRecovered(address token, address to, uint256 amount) external;
}

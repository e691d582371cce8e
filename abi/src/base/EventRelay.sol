// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Registry} from "./Registry.sol";

/// @title Emits the events of organizations, products and the identity contract
/// @notice They report each change here. A report emits the event of the same name, with the reporting contract as its
/// first argument.
abstract contract EventRelay is Registry {
    modifier fromOrganization() {
        if (!isOrganization(msg.sender)) revert NotAChild(msg.sender);
        _;
    }

    modifier fromProduct() {
        if (!isProduct[msg.sender]) revert NotAChild(msg.sender);
        _;
    }

    modifier fromIdentity() {
        if (msg.sender != address(creatorIdentity)) revert NotAChild(msg.sender);
        _;
    }

    function reportFunded(uint256 amount) external override fromOrganization {
        emit OrganizationFunded(msg.sender, amount);
    }

    function reportRoleChanged(address account, uint8 role) external override fromOrganization {
        emit RoleChanged(msg.sender, account, role);
    }

    function reportOwnershipOffered(address currentOwner, address newOwner) external override fromOrganization {
        emit OrganizationOwnershipOffered(msg.sender, currentOwner, newOwner);
    }

    function reportOwnershipTransferred(address previousOwner, address newOwner) external override fromOrganization {
        emit OrganizationOwnershipTransferred(msg.sender, previousOwner, newOwner);
    }

    function reportDailyCapChanged(uint256 cap, uint64 effectiveAt) external override fromOrganization {
        emit DailyCapChanged(msg.sender, cap, effectiveAt);
    }

    function reportProductEnabled(address product, uint256 maxPrice) external override fromOrganization {
        emit ProductEnabled(msg.sender, product, maxPrice);
    }

    function reportProductDisabled(address product) external override fromOrganization {
        emit ProductDisabled(msg.sender, product);
    }

    function reportWithdrawalRequested(address to, uint256 amount, uint64 readyAt, uint64 validUntil)
        external
        override
        fromOrganization
    {
        emit WithdrawalRequested(msg.sender, to, amount, readyAt, validUntil);
    }

    function reportWithdrawalExecuted(address to, uint256 amount) external override fromOrganization {
        emit WithdrawalExecuted(msg.sender, to, amount);
    }

    function reportWithdrawalCancelled() external override fromOrganization {
        emit WithdrawalCancelled(msg.sender);
    }

    function reportPriceChanged(uint256 pricePerCall) external override fromProduct {
        emit PriceChanged(msg.sender, pricePerCall);
    }

    function reportPriceScheduled(uint256 price, uint256 nextPrice, uint64 nextPriceAt)
        external
        override
        fromProduct
    {
        emit PriceScheduled(msg.sender, price, nextPrice, nextPriceAt);
    }

    function reportUriChanged(string calldata uri) external override fromProduct {
        emit UriChanged(msg.sender, uri);
    }

    function reportProductRetired() external override fromProduct {
        emit ProductRetired(msg.sender);
    }

    function reportPayoutAddressProposed(uint256 id, address creator, address payout, uint64 effectiveAt)
        external
        override
        fromIdentity
    {
        emit PayoutAddressProposed(id, creator, payout, effectiveAt);
    }

    function reportPayoutAddressCancelled(uint256 id, address creator) external override fromIdentity {
        emit PayoutAddressCancelled(id, creator);
    }

    function reportStrayRecovered(address token, address to, uint256 amount) external override {
        if (msg.sender != address(creatorIdentity) && !isOrganization(msg.sender)) revert NotAChild(msg.sender);
        emit StrayRecovered(msg.sender, token, to, amount);
    }
}

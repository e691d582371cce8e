// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {EventRelay} from "./base/EventRelay.sol";
import {Governed} from "./base/Governed.sol";
import {Registry} from "./base/Registry.sol";
import {Settlement} from "./base/Settlement.sol";
import {IHaitheOrchestrator} from "./interfaces/IHaitheOrchestrator.sol";

/// @title Haithe's central contract
/// @notice Registers organizations, creators and products (`Registry`), settles what organizations owe (`Settlement`),
/// emits every event (`EventRelay`) and is governed by an owner, a server and a guardian (`Governed`). It holds what
/// creators and the platform earned; organizations hold their own deposits.
contract HaitheOrchestrator is EventRelay, Settlement {
    using SafeERC20 for IERC20;

    /// @param usdt_ The payment token.
    /// @param owner_ Cold key that governs.
    /// @param server_ Hot key that settles.
    /// @param guardian_ Key that can pause; zero for none.
    /// @param withdrawalDelay_ Active seconds before an organization's withdrawal; a day by default.
    /// @param initialDailyCap_ Daily cap of a new organization in base units; 2^256 - 1 for no cap.
    /// @param priceNotice_ Seconds before a product's higher price takes effect; 7 days by default.
    constructor(
        IERC20 usdt_,
        address owner_,
        address server_,
        address guardian_,
        uint64 withdrawalDelay_,
        uint256 initialDailyCap_,
        uint64 priceNotice_
    )
        Governed(owner_, server_, guardian_, withdrawalDelay_)
        Registry(usdt_, initialDailyCap_, priceNotice_)
    {}

    /// @inheritdoc IHaitheOrchestrator
    function payCreator(uint256 id, address creator, address to, uint256 amount) external override nonReentrant {
        if (msg.sender != address(creatorIdentity)) revert NotAChild(msg.sender);
        emit CreatorWithdrawn(id, creator, to, amount);
        usdt.safeTransfer(to, amount);
    }

    /// @notice Pays `amount` of the platform's share to `to`. Leave the ledger's escrow in: its payees are paid out of
    /// the same funds.
    function withdrawPlatform(address to, uint256 amount) external onlyOwner nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint256 held = platformFunds;
        if (amount > held) revert InsufficientFunds(address(this), held, amount);
        platformFunds = held - amount;
        emit PlatformWithdrawn(to, amount);
        usdt.safeTransfer(to, amount);
    }

    /// @notice Sends tokens that were transferred here by mistake to `to`. What creators and the platform earned is
    /// never sent.
    function recoverStray(IERC20 token, address to) external onlyOwner nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        uint256 amount = token.balanceOf(address(this));
        if (address(token) == address(usdt)) amount -= platformFunds + creatorIdentity.totalFunds();
        if (amount == 0) revert NothingToWithdraw();
        emit StrayRecovered(address(this), address(token), to, amount);
        token.safeTransfer(to, amount);
    }
}

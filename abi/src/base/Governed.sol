// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {IHaitheOrchestrator} from "../interfaces/IHaitheOrchestrator.sol";
import {ExpiringPause} from "./ExpiringPause.sol";

/// @title The platform's keys, and the delays of their changes
/// @notice Three keys. The *owner* is cold: it appoints the other two, ends a pause and withdraws the platform's share.
/// The *server* is hot: it settles and registers. The *guardian* can only pause.
///
/// A new server can accept after `exitTime`, in which an owner who does not trust it can request and execute a
/// withdrawal. This delay runs on block time. So when a server key is stolen, its replacement becomes ready within one
/// pause (`MAX_PAUSE` is longer than any `exitTime`); withdrawals are stopped in that time, and the daily caps bound
/// the damage.
abstract contract Governed is Ownable2Step, ExpiringPause {
    /// @notice Seconds in which a withdrawal can be executed once it is ready.
    uint64 public constant WITHDRAWAL_WINDOW = 1 days;

    /// @notice The longest withdrawal delay, in seconds.
    uint64 public constant MAX_WITHDRAWAL_DELAY = 5 days;

    /// @notice Active seconds between the request of a withdrawal and its execution.
    uint64 public immutable withdrawalDelay;

    /// @notice The key that settles batches.
    address public override server;

    /// @notice The key that can pause.
    address public guardian;

    /// @notice The proposed next server; zero if none is proposed.
    address public pendingServer;

    /// @notice When `pendingServer` may accept, in block time.
    uint64 public serverChangeReadyAt;

    constructor(address owner_, address server_, address guardian_, uint64 withdrawalDelay_)
        Ownable(owner_)
        ExpiringPause(withdrawalDelay_ + WITHDRAWAL_WINDOW)
    {
        if (server_ == address(0)) revert ZeroAddress();
        if (withdrawalDelay_ == 0 || withdrawalDelay_ > MAX_WITHDRAWAL_DELAY) {
            revert BadDelay(withdrawalDelay_, MAX_WITHDRAWAL_DELAY);
        }
        withdrawalDelay = withdrawalDelay_;
        server = server_;
        emit ServerChanged(address(0), server_);
        guardian = guardian_;
        emit GuardianChanged(address(0), guardian_);
    }

    /// @dev Refuses the server during a pause, so that a stolen key is stopped.
    modifier onlyServer() {
        if (msg.sender != server) revert NotServer(msg.sender);
        if (paused()) revert EnforcedPause();
        _;
    }

    /// @notice Seconds in which a withdrawal can be requested and executed.
    function exitTime() public view returns (uint64) {
        return withdrawalDelay + WITHDRAWAL_WINDOW;
    }

    /// @notice Proposes the next server, which can accept after `exitTime`. The zero address cancels a proposal.
    function proposeServer(address newServer) external onlyOwner {
        uint64 readyAt = newServer == address(0) ? 0 : uint64(block.timestamp) + exitTime();
        pendingServer = newServer;
        serverChangeReadyAt = readyAt;
        emit ServerChangeProposed(newServer, readyAt);
    }

    /// @notice Makes the caller the server. Must be called with the proposed key, which proves that the key is
    /// available.
    function acceptServer() external {
        if (msg.sender != pendingServer) revert NotPendingServer(msg.sender);
        if (block.timestamp < serverChangeReadyAt) revert ServerChangeTooEarly(serverChangeReadyAt);
        emit ServerChanged(server, msg.sender);
        server = msg.sender;
        pendingServer = address(0);
        serverChangeReadyAt = 0;
    }

    /// @notice Appoints the guardian. The zero address removes it.
    function setGuardian(address newGuardian) external onlyOwner {
        emit GuardianChanged(guardian, newGuardian);
        guardian = newGuardian;
    }

    /// @notice Stops settlement, the server's other functions and organizations' withdrawals, for at most `MAX_PAUSE`.
    /// Creators and the platform can still withdraw their earnings.
    function pause() external {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        _pause();
    }

    /// @notice Ends a pause early.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @inheritdoc Ownable
    function owner() public view override(Ownable, IHaitheOrchestrator) returns (address) {
        return Ownable.owner();
    }

    /// @notice Always reverts.
    function renounceOwnership() public pure override {
        revert OwnershipCannotBeRenounced();
    }
}

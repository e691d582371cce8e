// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {IHaitheOrchestrator} from "../interfaces/IHaitheOrchestrator.sol";
import {ExpiringPause} from "./ExpiringPause.sol";

/// @title Who runs the platform, and how fast they can change it
/// @notice Three keys. The *owner* is cold: it appoints the other two, ends a pause and takes the platform's share out.
/// The *server* is hot: it settles and registers. The *guardian* can only pause.
///
/// A new server waits `exitTime`: who does not trust it has the time to request and execute a withdrawal. The wait runs
/// on block time, so that a stolen server key can be met by a pause (`MAX_PAUSE` is longer than any `exitTime`) in which
/// its replacement becomes ready; in that case it is the daily caps that protect those who would rather leave.
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

    /// @notice Who may become the server, or zero.
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

    /// @dev The server rests during a pause: a stolen key can do nothing at all.
    modifier onlyServer() {
        if (msg.sender != server) revert NotServer(msg.sender);
        if (paused()) revert EnforcedPause();
        _;
    }

    /// @notice Seconds that suffice to request and execute a withdrawal.
    function exitTime() public view returns (uint64) {
        return withdrawalDelay + WITHDRAWAL_WINDOW;
    }

    /// @notice Proposes the next server, who may accept after `exitTime`. The zero address takes a proposal back.
    function proposeServer(address newServer) external onlyOwner {
        uint64 readyAt = newServer == address(0) ? 0 : uint64(block.timestamp) + exitTime();
        pendingServer = newServer;
        serverChangeReadyAt = readyAt;
        emit ServerChangeProposed(newServer, readyAt);
    }

    /// @notice Takes the server's office. Called with the proposed key, which proves that it is in use.
    function acceptServer() external {
        if (msg.sender != pendingServer) revert NotPendingServer(msg.sender);
        if (block.timestamp < serverChangeReadyAt) revert ServerChangeTooEarly(serverChangeReadyAt);
        emit ServerChanged(server, msg.sender);
        server = msg.sender;
        pendingServer = address(0);
        serverChangeReadyAt = 0;
    }

    /// @notice Appoints the guardian; the zero address leaves the office empty.
    function setGuardian(address newGuardian) external onlyOwner {
        emit GuardianChanged(guardian, newGuardian);
        guardian = newGuardian;
    }

    /// @notice Stops settlement, the server's other powers and organizations' withdrawals, at most for `MAX_PAUSE`.
    /// Creators and the platform can still take out what is theirs.
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

    /// @notice Always refuses.
    function renounceOwnership() public pure override {
        revert OwnershipCannotBeRenounced();
    }
}

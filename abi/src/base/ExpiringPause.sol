// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IHaitheErrors} from "../interfaces/IHaitheErrors.sol";
import {IHaitheEvents} from "../interfaces/IHaitheEvents.sol";
import {IHaitheOrchestrator} from "../interfaces/IHaitheOrchestrator.sol";

/// @title A pause that ends by itself
/// @notice A pause ends `MAX_PAUSE` after its series began. Within a series it can be ended early and started again.
/// After a series there is no pause for `pauseCooldown`.
///
/// Delays of withdrawals and of lower daily caps run on *active time*: block time minus all time spent paused. A delay
/// of one day that is interrupted by a pause of three days ends four days after it began.
abstract contract ExpiringPause is IHaitheErrors, IHaitheEvents, IHaitheOrchestrator {
    /// @notice The longest pause, in seconds.
    uint64 public constant MAX_PAUSE = 7 days;

    /// @notice Seconds between the latest end of one series of pauses and the beginning of the next.
    uint64 public immutable pauseCooldown;

    /// @dev When the current or last series began; 0 before the first series.
    uint64 private _seriesSince;
    /// @dev When the last pause began; 0 before the first pause and after a pause that was ended early. It stays set
    /// when a pause expires.
    uint64 private _pausedSince;
    /// @dev Seconds of all pauses before the one that began at `_pausedSince`.
    uint64 private _pausedBefore;

    constructor(uint64 pauseCooldown_) {
        pauseCooldown = pauseCooldown_;
    }

    modifier whenNotPaused() {
        if (paused()) revert EnforcedPause();
        _;
    }

    /// @notice Whether settlement, the server's other functions and organizations' withdrawals are stopped.
    function paused() public view override returns (bool) {
        return _pausedSince != 0 && block.timestamp < pauseEndsAt();
    }

    /// @notice The latest end of the current or last series of pauses, in block time; 0 before the first series.
    function pauseEndsAt() public view returns (uint64) {
        return _seriesSince == 0 ? 0 : _seriesSince + MAX_PAUSE;
    }

    /// @notice Block time minus all time spent paused, in seconds. Does not advance during a pause.
    function activeTime() public view override returns (uint64) {
        return uint64(block.timestamp) - _pausedBefore - _runningPause();
    }

    function _pause() internal whenNotPaused {
        uint64 time = uint64(block.timestamp);
        _pausedBefore += _runningPause();
        if (_seriesSince == 0 || time >= pauseEndsAt() + pauseCooldown) {
            _seriesSince = time;
        } else if (time >= pauseEndsAt()) {
            revert PauseCoolingDown(pauseEndsAt() + pauseCooldown);
        }
        _pausedSince = time;
        emit Paused(msg.sender, pauseEndsAt());
    }

    function _unpause() internal {
        if (!paused()) revert ExpectedPause();
        _pausedBefore += _runningPause();
        _pausedSince = 0;
        emit Unpaused(msg.sender);
    }

    /// @dev Length so far of the pause that began at `_pausedSince`, whether or not it has expired.
    function _runningPause() private view returns (uint64) {
        if (_pausedSince == 0) return 0;
        return (paused() ? uint64(block.timestamp) : pauseEndsAt()) - _pausedSince;
    }
}

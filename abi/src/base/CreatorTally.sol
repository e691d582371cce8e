// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @title Sum of the credits of each creator in one batch
/// @notice A map and a stack of its keys in transient storage (EIP-1153). The entries of a line that reverts are
/// reverted with it, and the stack is empty again when the batch ends.
library CreatorTally {
    using SlotDerivation for bytes32;
    using TransientSlot for *;

    bytes32 private constant AMOUNTS = keccak256("haithe.CreatorTally.amounts");
    bytes32 private constant STACK = keccak256("haithe.CreatorTally.stack");
    bytes32 private constant COUNT = keccak256("haithe.CreatorTally.count");

    /// @dev Adds `amount` to the entry of identity `id`.
    function add(uint256 id, uint256 amount) internal {
        if (amount == 0) return;
        TransientSlot.Uint256Slot entry = AMOUNTS.deriveMapping(id).asUint256();
        uint256 before = entry.tload();
        if (before == 0) {
            uint256 size = count();
            STACK.offset(size).asUint256().tstore(id);
            COUNT.asUint256().tstore(size + 1);
        }
        entry.tstore(before + amount);
    }

    /// @dev Number of identities that have an entry.
    function count() internal view returns (uint256) {
        return COUNT.asUint256().tload();
    }

    /// @dev Removes one entry and returns it. Reverts if there is no entry.
    function pop() internal returns (uint256 id, uint256 amount) {
        uint256 size = count() - 1;
        COUNT.asUint256().tstore(size);
        id = STACK.offset(size).asUint256().tload();
        TransientSlot.Uint256Slot entry = AMOUNTS.deriveMapping(id).asUint256();
        amount = entry.tload();
        entry.tstore(0);
    }
}

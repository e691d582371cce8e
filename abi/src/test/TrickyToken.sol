// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title A token that behaves as badly as it is told to
/// @notice For tests. Real tokens do each of these things.
contract TrickyToken is ERC20 {
    /// @notice How `transfer` behaves.
    enum Mode {
        /// Moves the money and returns true.
        Honest,
        /// Moves the money and returns nothing, as USDT does.
        Silent,
        /// Moves nothing and returns false.
        ReturnsFalse,
        /// Moves nothing and reverts with `Refused`.
        Reverts,
        /// Moves nothing and uses up all gas, as an old `assert` does.
        BurnsGas,
        /// Moves nothing and reverts with 10 kB of data.
        Floods,
        /// Keeps one percent of the amount.
        TakesFee,
        /// Returns true and moves nothing.
        Lies
    }

    error Refused(address to);

    uint8 private immutable _decimals;

    /// @notice How `transfer` behaves now.
    Mode public mode;

    /// @notice Receivers that are refused whatever the mode is.
    mapping(address => bool) public blocked;

    address private _hookTarget;
    bytes private _hookCall;

    constructor(uint8 decimals_) ERC20("Tricky", "TRICK") {
        _decimals = decimals_;
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setMode(Mode newMode) external {
        mode = newMode;
    }

    function setBlocked(address receiver, bool isBlocked) external {
        blocked[receiver] = isBlocked;
    }

    /// @notice Makes every transfer call `target` first; a refusal becomes the transfer's own. Zero ends it.
    function setHook(address target, bytes calldata call) external {
        _hookTarget = target;
        _hookCall = call;
    }

    /// @notice Makes several calls in one transaction: the token can be a server, a creator or an owner.
    function relay(address target, bytes[] calldata calls) external {
        for (uint256 i; i < calls.length; ++i) {
            Address.functionCall(target, calls[i]);
        }
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (_hookTarget != address(0)) Address.functionCall(_hookTarget, _hookCall);
        if (blocked[to] || mode == Mode.Reverts) revert Refused(to);
        if (mode == Mode.ReturnsFalse) return false;
        if (mode == Mode.Lies) return true;
        if (mode == Mode.BurnsGas) {
            assembly {
                invalid()
            }
        }
        if (mode == Mode.Floods) {
            assembly {
                revert(0, 10240)
            }
        }
        uint256 fee = mode == Mode.TakesFee ? amount / 100 : 0;
        if (fee != 0) _burn(msg.sender, fee);
        _transfer(msg.sender, to, amount - fee);
        if (mode == Mode.Silent) {
            assembly {
                return(0, 0)
            }
        }
        return true;
    }
}

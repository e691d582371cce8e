// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title A token with a configurable misbehaviour
/// @notice For tests. Real tokens do each of these things.
contract TrickyToken is ERC20 {
    /// @notice How `transfer` behaves.
    enum Mode {
        /// Moves the tokens and returns true.
        Honest,
        /// Moves the tokens and returns nothing, like USDT.
        Silent,
        /// Moves nothing and returns false.
        ReturnsFalse,
        /// Moves nothing and reverts with `Refused`.
        Reverts,
        /// Moves nothing and consumes all gas, like an `assert` of old compilers.
        BurnsGas,
        /// Moves nothing and reverts with 10 kB of data.
        Floods,
        /// Burns one percent of the amount.
        TakesFee,
        /// Returns true and moves nothing.
        Lies
    }

    error Refused(address to);

    uint8 private immutable _decimals;

    /// @notice The current behaviour of `transfer`.
    Mode public mode;

    /// @notice Receivers that are refused in every mode.
    mapping(address => bool) public blocked;

    /// @notice Gas that every transfer consumes in addition.
    uint256 public extraGas;

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

    /// @notice Makes every transfer call `target` first, and revert if that call reverts. Zero removes the hook.
    function setHook(address target, bytes calldata call) external {
        _hookTarget = target;
        _hookCall = call;
    }

    /// @notice Makes several calls in one transaction, so that the token can act as a server, a creator or an owner.
    function relay(address target, bytes[] calldata calls) external {
        for (uint256 i; i < calls.length; ++i) {
            Address.functionCall(target, calls[i]);
        }
    }

    /// @notice Makes every transfer consume `gas` in addition.
    function setExtraGas(uint256 gas) external {
        extraGas = gas;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        uint256 extra = extraGas;
        if (extra != 0) {
            uint256 start = gasleft();
            while (start - gasleft() < extra) {}
        }
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

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Test token that stands in for USDT
/// @notice Worth nothing. The owner mints what development and test networks need; real USDT replaces it elsewhere.
contract tUSDT is ERC20, Ownable {
    uint8 private immutable _decimals;

    /// @param decimals_ Digits after the point: 18 on the development chain, 6 as real USDT has.
    /// @param owner_ Who may mint.
    constructor(uint8 decimals_, address owner_) ERC20("Test USDT", "tUSDT") Ownable(owner_) {
        _decimals = decimals_;
    }

    /// @notice Makes `amount` base units out of nothing for `to`.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Test token that stands in for USDT
/// @notice Has no value. The owner mints it on development and test networks; elsewhere real USDT is used.
contract tUSDT is ERC20, Ownable {
    uint8 private immutable _decimals;

    /// @param decimals_ Number of decimals: 18 on the development chain, 6 like real USDT.
    /// @param owner_ The account that can mint.
    constructor(uint8 decimals_, address owner_) ERC20("Test USDT", "tUSDT") Ownable(owner_) {
        _decimals = decimals_;
    }

    /// @notice Mints `amount` base units for `to`.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}

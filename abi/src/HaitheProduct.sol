// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IHaitheErrors} from "./interfaces/IHaitheErrors.sol";
import {IHaitheOrchestrator} from "./interfaces/IHaitheOrchestrator.sol";

/// @title A product of a creator: sealed content and its price
/// @notice The creator may change the price, but nobody pays more than the maximum they enabled the product with.
contract HaitheProduct is IHaitheErrors {
    /// @dev The bound `addProduct` sets, too.
    uint256 private constant MAX_URI = 2048;

    /// @notice The orchestrator that made this product.
    IHaitheOrchestrator public immutable orchestrator;

    /// @notice Who offers the product and is paid for it.
    address public creator;

    /// @notice Whether it was taken off the market for good.
    bool public retired;

    /// @notice The product's name.
    string public name;

    /// @notice Where the sealed content is found.
    string public uri;

    /// @notice Initialization vector of the sealed content.
    string public iv;

    /// @notice Content key, sealed to the enclave.
    string public encryptedKeyForTEE;

    /// @notice Kind of content.
    string public category;

    /// @notice Price of a call, in base units of the token.
    uint256 public pricePerCall;

    modifier onlyCreator() {
        if (msg.sender != creator) revert NotCreator(msg.sender);
        if (retired) revert ProductIsRetired(address(this));
        _;
    }

    /// @dev Runs once, in the orchestrator's constructor.
    constructor() {
        orchestrator = IHaitheOrchestrator(msg.sender);
    }

    /// @notice Sets a new clone up. Called by the orchestrator in the transaction that makes it.
    function initialize(
        address creator_,
        string calldata name_,
        string calldata uri_,
        string calldata iv_,
        string calldata encryptedKeyForTEE_,
        string calldata category_,
        uint256 pricePerCall_
    ) external {
        if (msg.sender != address(orchestrator)) revert NotOrchestrator(msg.sender);
        if (creator != address(0)) revert AlreadyInitialized();
        creator = creator_;
        name = name_;
        uri = uri_;
        iv = iv_;
        encryptedKeyForTEE = encryptedKeyForTEE_;
        category = category_;
        pricePerCall = pricePerCall_;
    }

    /// @notice Changes the price of a call.
    function setPricePerCall(uint256 newPrice) external onlyCreator {
        pricePerCall = newPrice;
        orchestrator.reportPriceChanged(newPrice);
    }

    /// @notice Changes where the content is found.
    function setUri(string calldata newUri) external onlyCreator {
        if (bytes(newUri).length > MAX_URI) revert BadText("uri", bytes(newUri).length, MAX_URI);
        uri = newUri;
        orchestrator.reportUriChanged(newUri);
    }

    /// @notice Takes the product off the market for good.
    function retire() external onlyCreator {
        retired = true;
        orchestrator.reportProductRetired();
    }
}

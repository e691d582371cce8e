// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IHaitheErrors} from "./interfaces/IHaitheErrors.sol";
import {IHaitheOrchestrator} from "./interfaces/IHaitheOrchestrator.sol";

/// @title A product of a creator: sealed content and its price
/// @notice The creator can change the price. An organization never pays more than the maximum that it enabled the
/// product with. A lower price takes effect at once, a higher one after `priceNotice`.
contract HaitheProduct is IHaitheErrors {
    /// @dev The same limit as in `addProduct`.
    uint256 private constant MAX_URI = 2048;

    /// @notice The orchestrator that created this product.
    IHaitheOrchestrator public immutable orchestrator;

    /// @notice Seconds of block time until a higher price takes effect.
    uint64 public immutable priceNotice;

    /// @notice The creator, which is paid for the product.
    address public creator;

    /// @notice Whether the product was retired. It cannot be reactivated.
    bool public retired;

    /// @dev When `_nextPrice` replaces `_price`, in block time; 0 if no increase was scheduled.
    uint40 private _nextPriceAt;

    /// @dev When the last increase before the one at `_nextPriceAt` took effect; 0 if none did.
    uint40 private _roseAt;

    /// @notice The product's name.
    string public name;

    /// @notice Location of the sealed content.
    string public uri;

    /// @notice Initialization vector of the sealed content.
    string public iv;

    /// @notice Content key, sealed to the enclave.
    string public encryptedKeyForTEE;

    /// @notice Kind of content.
    string public category;

    /// @dev Price of a call before `_nextPriceAt`, in base units of the token.
    uint256 private _price;

    /// @dev Price of a call from `_nextPriceAt` on, in base units of the token.
    uint256 private _nextPrice;

    modifier onlyCreator() {
        if (msg.sender != creator) revert NotCreator(msg.sender);
        if (retired) revert ProductIsRetired(address(this));
        _;
    }

    /// @dev Runs once, in the orchestrator's constructor.
    constructor(uint64 priceNotice_) {
        orchestrator = IHaitheOrchestrator(msg.sender);
        priceNotice = priceNotice_;
    }

    /// @notice Initializes a new clone. The orchestrator calls it in the transaction that creates the clone.
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
        _price = pricePerCall_;
    }

    /// @notice Current price of a call, in base units of the token.
    function pricePerCall() public view returns (uint256) {
        return _rose() ? _nextPrice : _price;
    }

    /// @notice The scheduled higher price that is not in effect yet; 0 if none.
    function nextPrice() external view returns (uint256) {
        return _rose() ? 0 : _nextPrice;
    }

    /// @notice When the scheduled price takes effect, in block time; 0 if none is scheduled.
    function nextPriceAt() external view returns (uint256) {
        return _rose() ? 0 : _nextPriceAt;
    }

    /// @notice When the price last increased, in block time; 0 if it never did.
    function priceRoseAt() external view returns (uint256) {
        return _rose() ? _nextPriceAt : _roseAt;
    }

    /// @notice Changes the price of a call. A price that is not above the current one takes effect at once, a higher
    /// one after `priceNotice`. Either replaces an increase that is not in effect yet.
    function setPricePerCall(uint256 newPrice) external onlyCreator {
        uint256 current = pricePerCall();
        if (_rose()) _roseAt = _nextPriceAt;
        if (newPrice <= current) {
            _price = newPrice;
            _nextPrice = 0;
            _nextPriceAt = 0;
            orchestrator.reportPriceChanged(newPrice);
        } else {
            uint64 effectiveAt = uint64(block.timestamp) + priceNotice;
            _price = current;
            _nextPrice = newPrice;
            _nextPriceAt = uint40(effectiveAt);
            orchestrator.reportPriceScheduled(current, newPrice, effectiveAt);
        }
    }

    /// @notice Changes the location of the content.
    function setUri(string calldata newUri) external onlyCreator {
        if (bytes(newUri).length > MAX_URI) revert BadText("uri", bytes(newUri).length, MAX_URI);
        uri = newUri;
        orchestrator.reportUriChanged(newUri);
    }

    /// @notice Retires the product. It cannot be reactivated.
    function retire() external onlyCreator {
        retired = true;
        orchestrator.reportProductRetired();
    }

    /// @dev Whether the scheduled price is in effect.
    function _rose() private view returns (bool) {
        return _nextPriceAt != 0 && block.timestamp >= _nextPriceAt;
    }
}

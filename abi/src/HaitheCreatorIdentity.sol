// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

import {IHaitheErrors} from "./interfaces/IHaitheErrors.sol";
import {IHaitheOrchestrator} from "./interfaces/IHaitheOrchestrator.sol";

/// @title Identities of creators, and the accounts of their earnings
/// @notice One soulbound token per creator (ERC-721 with ERC-5192). Settlement credits earnings to identities here. The
/// orchestrator holds the tokens, always at least `totalFunds`, until the creator withdraws them.
contract HaitheCreatorIdentity is ERC721, IHaitheErrors {
    using SafeERC20 for IERC20;

    /// @dev ERC-165 identifier of ERC-5192.
    bytes4 private constant ERC5192 = 0xb45a3c0e;

    /// @dev A second address that a creator can be paid at, besides its own.
    struct Payout {
        address current;
        /// Replaces `current` at `nextAt` (block time) if that is not 0.
        address next;
        uint64 nextAt;
    }

    /// @notice The orchestrator that deployed this contract.
    IHaitheOrchestrator public immutable orchestrator;

    /// @notice Earnings of an identity that are not withdrawn, in base units.
    mapping(uint256 id => uint256) public funds;

    /// @notice Earnings of all identities that are not withdrawn, in base units.
    uint256 public totalFunds;

    /// @notice The seed of an identity's content keys.
    mapping(uint256 id => bytes32) public pvtKeySeeds;

    /// @notice The public key of an identity.
    mapping(uint256 id => string) public pubKeys;

    /// @notice Seconds of block time until a proposed payout address takes effect.
    uint64 public immutable payoutDelay;

    mapping(uint256 id => Payout) private _payouts;
    mapping(uint256 id => string) private _uris;
    mapping(address creator => uint256) private _identitiesOf;
    uint256 private _lastId;

    /// @notice ERC-5192: the token cannot be transferred.
    event Locked(uint256 tokenId);

    modifier onlyOrchestrator() {
        if (msg.sender != address(orchestrator)) revert NotOrchestrator(msg.sender);
        _;
    }

    constructor(uint64 payoutDelay_) ERC721("Haithe Creator Identity", "HaitheCID") {
        orchestrator = IHaitheOrchestrator(msg.sender);
        payoutDelay = payoutDelay_;
    }

    /// @notice The seed of the next identity of `creator`. It differs between chains, deployments, creators and the
    /// identities of one creator.
    function determineNextSeed(address creator) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), creator, _identitiesOf[creator]));
    }

    /// @notice Mints an identity for `to`.
    /// @param uri Location of the creator's description.
    /// @param seed `determineNextSeed(to)`.
    /// @param pubKey The creator's public key.
    function mint(address to, string calldata uri, bytes32 seed, string calldata pubKey)
        external
        onlyOrchestrator
        returns (uint256 id)
    {
        bytes32 expected = determineNextSeed(to);
        if (seed != expected) revert WrongSeed(expected, seed);
        id = ++_lastId;
        ++_identitiesOf[to];
        pvtKeySeeds[id] = seed;
        pubKeys[id] = pubKey;
        _uris[id] = uri;
        _mint(to, id);
        emit Locked(id);
    }

    /// @notice Credits `amount` to an identity. The orchestrator received the tokens in the same transaction.
    function registerFunds(uint256 id, uint256 amount) external onlyOrchestrator {
        _requireOwned(id);
        funds[id] += amount;
        totalFunds += amount;
    }

    /// @notice Pays all earnings of the identity to its creator. Only the creator can call it.
    function withdrawFunds(uint256 id) external {
        _withdraw(id, _requireCreator(id));
    }

    /// @notice Pays all earnings of the identity to `to`, which is the creator's own address or its payout address.
    /// Only the creator can call it. For creators whose own address the token refuses.
    function withdrawFundsTo(uint256 id, address to) external {
        address creator = _requireCreator(id);
        if (to != creator && (to == address(0) || to != payoutAddress(id))) revert NotAPayoutAddress(to);
        _withdraw(id, to);
    }

    /// @notice Proposes a second address that the creator can be paid at. It takes effect after `payoutDelay`; until
    /// then the current payout address stays in effect. Replaces a proposal that is not in effect yet. The zero address
    /// removes both at once.
    function proposePayoutAddress(uint256 id, address to) external {
        address creator = _requireCreator(id);
        uint64 effectiveAt = uint64(block.timestamp);
        if (to == address(0)) {
            delete _payouts[id];
        } else {
            effectiveAt += payoutDelay;
            _payouts[id] = Payout({current: payoutAddress(id), next: to, nextAt: effectiveAt});
        }
        orchestrator.reportPayoutAddressProposed(id, creator, to, effectiveAt);
    }

    /// @notice Cancels a proposed payout address that is not in effect yet.
    function cancelPayoutAddress(uint256 id) external {
        address creator = _requireCreator(id);
        (address proposed,) = proposedPayoutAddress(id);
        if (proposed == address(0)) revert NoPayoutProposal(id);
        _payouts[id].next = address(0);
        _payouts[id].nextAt = 0;
        orchestrator.reportPayoutAddressCancelled(id, creator);
    }

    /// @notice The payout address in effect; zero if none.
    function payoutAddress(uint256 id) public view returns (address) {
        Payout storage payout = _payouts[id];
        return payout.nextAt != 0 && block.timestamp >= payout.nextAt ? payout.next : payout.current;
    }

    /// @notice A proposed payout address that is not in effect yet, and the block time at which it takes effect; zeros
    /// if none.
    function proposedPayoutAddress(uint256 id) public view returns (address to, uint64 effectiveAt) {
        Payout storage payout = _payouts[id];
        if (payout.nextAt != 0 && block.timestamp < payout.nextAt) return (payout.next, payout.nextAt);
    }

    /// @notice Sends tokens to `to`. This contract holds only tokens that were transferred to it by mistake.
    function recoverStray(IERC20 token, address to) external {
        if (msg.sender != orchestrator.owner()) revert NotOwner(msg.sender);
        if (to == address(0)) revert ZeroAddress();
        uint256 amount = token.balanceOf(address(this));
        if (amount == 0) revert NothingToWithdraw();
        orchestrator.reportStrayRecovered(address(token), to, amount);
        token.safeTransfer(to, amount);
    }

    /// @notice Location of the creator's description.
    function tokenURI(uint256 id) public view override returns (string memory) {
        _requireOwned(id);
        return _uris[id];
    }

    /// @notice ERC-5192: whether the token is locked; always true.
    function locked(uint256 id) external view returns (bool) {
        _requireOwned(id);
        return true;
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == ERC5192 || super.supportsInterface(interfaceId);
    }

    /// @notice Always reverts: the token cannot be transferred.
    function approve(address, uint256) public pure override {
        revert Soulbound();
    }

    /// @notice Always reverts.
    function setApprovalForAll(address, bool) public pure override {
        revert Soulbound();
    }

    function _withdraw(uint256 id, address to) private {
        uint256 amount = funds[id];
        if (amount == 0) revert NothingToWithdraw();
        funds[id] = 0;
        totalFunds -= amount;
        orchestrator.payCreator(id, msg.sender, to, amount);
    }

    /// @dev Returns the creator of an identity. Reverts if the caller is another account.
    function _requireCreator(uint256 id) private view returns (address creator) {
        creator = _requireOwned(id);
        if (msg.sender != creator) revert NotCreator(msg.sender);
    }

    /// @dev Allows mints only, which have no previous owner.
    function _update(address to, uint256 id, address auth) internal override returns (address) {
        if (_ownerOf(id) != address(0)) revert Soulbound();
        return super._update(to, id, auth);
    }
}

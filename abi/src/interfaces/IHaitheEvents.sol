// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title All events of Haithe's contracts
/// @notice The orchestrator emits all of them: organizations, products and the identity contract report to it. A filter
/// on its address, besides the token's transfers, sees everything. Amounts are base units of the token. "Active time"
/// is defined in `ExpiringPause`.
interface IHaitheEvents {
    // Organizations

    /// @notice An organization was created; `index` is its position in `organizations`.
    event OrganizationCreated(address indexed organization, address indexed owner, uint256 index, string name);
    /// @notice The organization's address held `amount` when it was created, which includes all earlier transfers to
    /// it.
    event OrganizationFunded(address indexed organization, uint256 amount);
    /// @notice `account` now has `role` (0 none, 1 member, 2 administrator) in `organization`.
    event RoleChanged(address indexed organization, address indexed account, uint8 role);
    /// @notice Ownership was offered to `newOwner`, which has to accept it; the zero address cancels an offer.
    event OrganizationOwnershipOffered(address indexed organization, address indexed owner, address indexed newOwner);
    /// @notice The offer was accepted.
    event OrganizationOwnershipTransferred(
        address indexed organization, address indexed previousOwner, address indexed newOwner
    );
    /// @notice From `effectiveAt` (active time) on at most `cap` can be settled per UTC day. Replaces an earlier change
    /// that is not in effect yet.
    event DailyCapChanged(address indexed organization, uint256 cap, uint64 effectiveAt);
    /// @notice The organization enabled `product` for calls that cost at most `maxPrice`. Replaces an earlier maximum.
    event ProductEnabled(address indexed organization, address indexed product, uint256 maxPrice);
    /// @notice The organization disabled `product`.
    event ProductDisabled(address indexed organization, address indexed product);
    /// @notice The owner can withdraw `amount` in [`readyAt`, `validUntil`], both active time. Afterwards the request
    /// expires without a further event.
    event WithdrawalRequested(
        address indexed organization, address indexed to, uint256 amount, uint64 readyAt, uint64 validUntil
    );
    /// @notice `amount` was paid: the requested amount, or the whole balance if that was less.
    event WithdrawalExecuted(address indexed organization, address indexed to, uint256 amount);
    /// @notice The request was cancelled.
    event WithdrawalCancelled(address indexed organization);

    // Creators and products

    /// @notice `creator` received identity `id`.
    event CreatorRegistered(uint256 indexed id, address indexed creator, string uri, bytes32 seed, string pubKey);
    /// @notice Batch `seq` credited `amount` to identity `id`: the sum of all its lines.
    event CreatorCredited(uint256 indexed id, uint64 indexed seq, uint256 amount);
    /// @notice `creator` withdrew `amount`; `to` is its own address or its payout address.
    event CreatorWithdrawn(uint256 indexed id, address indexed creator, address indexed to, uint256 amount);
    /// @notice From `effectiveAt` (block time) on `creator` can also be paid at `payout`, which replaces an earlier
    /// payout address then; the zero address removes it. Replaces an earlier proposal that is not in effect yet.
    event PayoutAddressProposed(
        uint256 indexed id, address indexed creator, address indexed payout, uint64 effectiveAt
    );
    /// @notice The proposal was cancelled; a payout address in effect stays.
    event PayoutAddressCancelled(uint256 indexed id, address indexed creator);
    /// @notice A product was added; `index` is its position in `products`.
    event ProductAdded(
        address indexed product,
        address indexed creator,
        uint256 index,
        string name,
        string uri,
        string iv,
        string encryptedKeyForTEE,
        string category,
        uint256 pricePerCall
    );
    /// @notice A call to `product` now costs `pricePerCall`. Cancels a scheduled increase.
    event PriceChanged(address indexed product, uint256 pricePerCall);
    /// @notice A call to `product` costs `price` until `nextPriceAt` (block time) and `nextPrice` from then on, unless
    /// a later event replaces this. No further event is emitted when the increase takes effect.
    event PriceScheduled(address indexed product, uint256 price, uint256 nextPrice, uint64 nextPriceAt);
    /// @notice The location of the content of `product` is now `uri`.
    event UriChanged(address indexed product, string uri);
    /// @notice `product` was retired for good.
    event ProductRetired(address indexed product);

    // Settlement

    /// @notice `organization` paid `amount` in a settled line; `spender` is the server that sent the batch.
    event OrganizationExpenditure(address indexed organization, uint256 amount, address indexed spender);
    /// @notice Line `line` was skipped; `reason` holds the first bytes of its error.
    event LineSkipped(
        uint64 indexed seq, uint256 indexed line, address indexed organization, uint256 amount, bytes reason
    );
    /// @notice Batch `seq` was settled: its settled lines moved `total`, and `skipped` lines were skipped.
    event BatchSettled(uint64 indexed seq, bytes32 indexed hash, bytes32 root, uint256 total, uint256 skipped);
    /// @notice A settled line paid `amount` of escrow to payees that could not be paid before.
    event EscrowPaid(uint256 amount, address indexed spender);
    /// @notice The owner withdrew `amount` of the platform's share.
    event PlatformWithdrawn(address indexed to, uint256 amount);
    /// @notice Tokens that were transferred to `from` by mistake were sent to `to`.
    event StrayRecovered(address indexed from, address indexed token, address indexed to, uint256 amount);

    // Administration

    /// @notice `newServer` can accept from `readyAt` (block time) on; the zero address cancels a proposal.
    event ServerChangeProposed(address indexed newServer, uint64 readyAt);
    /// @notice The server's key is now `newServer`.
    event ServerChanged(address indexed previousServer, address indexed newServer);
    /// @notice The guardian is now `newGuardian`.
    event GuardianChanged(address indexed previousGuardian, address indexed newGuardian);
    /// @notice `account` started a pause, which ends at `endsAt` (block time) at the latest.
    event Paused(address indexed account, uint64 endsAt);
    /// @notice `account` ended the pause early. A pause that expires ends without an event.
    event Unpaused(address indexed account);
}

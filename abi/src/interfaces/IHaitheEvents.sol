// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Everything that happens in Haithe
/// @notice All of it is emitted by the orchestrator, whose children call back to report: a filter on one address, beside
/// the token's transfers, sees all. Amounts are base units of the token. "Active time" is defined in `ExpiringPause`.
interface IHaitheEvents {
    // Organizations

    /// @notice An organization came to be as number `index`.
    event OrganizationCreated(address indexed organization, address indexed owner, uint256 index, string name);
    /// @notice `amount` was at the organization's address when it was created. Transfers to it before are part of this.
    event OrganizationFunded(address indexed organization, uint256 amount);
    /// @notice `account` now has `role` (0 none, 1 member, 2 administrator) in `organization`.
    event RoleChanged(address indexed organization, address indexed account, uint8 role);
    /// @notice Ownership was offered to `newOwner`, who has to accept; the zero address takes an offer back.
    event OrganizationOwnershipOffered(address indexed organization, address indexed owner, address indexed newOwner);
    /// @notice The offer was accepted.
    event OrganizationOwnershipTransferred(
        address indexed organization, address indexed previousOwner, address indexed newOwner
    );
    /// @notice From `effectiveAt` (active time) on at most `cap` may be settled a day. A change announced earlier that
    /// is not in effect by now is void.
    event DailyCapChanged(address indexed organization, uint256 cap, uint64 effectiveAt);
    /// @notice The organization accepts calls to `product` up to `maxPrice` each. Replaces an earlier maximum.
    event ProductEnabled(address indexed organization, address indexed product, uint256 maxPrice);
    /// @notice The organization no longer uses `product`.
    event ProductDisabled(address indexed organization, address indexed product);
    /// @notice The owner may withdraw `amount` in [`readyAt`, `validUntil`], both active time; afterwards the request
    /// is void without a further event.
    event WithdrawalRequested(
        address indexed organization, address indexed to, uint256 amount, uint64 readyAt, uint64 validUntil
    );
    /// @notice `amount` was paid: what was requested, or all there was if less.
    event WithdrawalExecuted(address indexed organization, address indexed to, uint256 amount);
    /// @notice The request was taken back.
    event WithdrawalCancelled(address indexed organization);

    // Creators and products

    /// @notice `creator` received identity `id`.
    event CreatorRegistered(uint256 indexed id, address indexed creator, string uri, bytes32 seed, string pubKey);
    /// @notice Batch `seq` credited `amount` to identity `id`, all lines together.
    event CreatorCredited(uint256 indexed id, uint64 indexed seq, uint256 amount);
    /// @notice `creator` took `amount` out; `to` is its own address or its payout address.
    event CreatorWithdrawn(uint256 indexed id, address indexed creator, address indexed to, uint256 amount);
    /// @notice From `effectiveAt` (block time) on `creator` may also be paid at `payout`, which replaces an earlier payout
    /// address then; the zero address removes it. A proposal that is not in effect by now is void.
    event PayoutAddressProposed(
        uint256 indexed id, address indexed creator, address indexed payout, uint64 effectiveAt
    );
    /// @notice The proposal was cancelled; a payout address in effect stays.
    event PayoutAddressCancelled(uint256 indexed id, address indexed creator);
    /// @notice A product came to be as number `index`.
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
    /// @notice A call to `product` now costs `pricePerCall`; a scheduled rise is cancelled.
    event PriceChanged(address indexed product, uint256 pricePerCall);
    /// @notice A call to `product` costs `price` until `nextPriceAt` (block time) and `nextPrice` from then on, unless a
    /// later event replaces this. There is no further event when the rise comes into force.
    event PriceScheduled(address indexed product, uint256 price, uint256 nextPrice, uint64 nextPriceAt);
    /// @notice The content of `product` is now found at `uri`.
    event UriChanged(address indexed product, string uri);
    /// @notice `product` will never be sold again.
    event ProductRetired(address indexed product);

    // Settlement

    /// @notice `organization` paid `amount` in a settled line; `spender` is the server that settled.
    event OrganizationExpenditure(address indexed organization, uint256 amount, address indexed spender);
    /// @notice Line `line` moved nothing; `reason` holds the first bytes of the error that stopped it.
    event LineSkipped(
        uint64 indexed seq, uint256 indexed line, address indexed organization, uint256 amount, bytes reason
    );
    /// @notice Batch `seq` is settled: `total` moved, `skipped` lines did not.
    event BatchSettled(uint64 indexed seq, bytes32 indexed hash, bytes32 root, uint256 total, uint256 skipped);
    /// @notice A settled line paid `amount` out of the platform's share to payees who could not be paid before.
    event EscrowPaid(uint256 amount, address indexed spender);
    /// @notice The platform took `amount` of its share out.
    event PlatformWithdrawn(address indexed to, uint256 amount);
    /// @notice Tokens that reached `from` by mistake were sent on.
    event StrayRecovered(address indexed from, address indexed token, address indexed to, uint256 amount);

    // Administration

    /// @notice `newServer` may accept from `readyAt` (block time) on; the zero address takes a proposal back.
    event ServerChangeProposed(address indexed newServer, uint64 readyAt);
    /// @notice The server's key is now `newServer`.
    event ServerChanged(address indexed previousServer, address indexed newServer);
    /// @notice The guardian is now `newGuardian`.
    event GuardianChanged(address indexed previousGuardian, address indexed newGuardian);
    /// @notice Paused by `account`, at the latest until `endsAt` (block time).
    event Paused(address indexed account, uint64 endsAt);
    /// @notice The pause was ended early. One that runs out ends without an event.
    event Unpaused(address indexed account);
}

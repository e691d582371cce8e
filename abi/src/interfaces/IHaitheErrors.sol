// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title All errors of Haithe's contracts
/// @notice Every contract inherits this list, so that one ABI decodes the reason of a skipped line, whether the
/// orchestrator, an organization or the identity contract raised it.
interface IHaitheErrors {
    // Callers

    /// @notice Only the owner may do this.
    error NotOwner(address caller);
    /// @notice Only the owner or an administrator of the organization may do this.
    error NotAdmin(address caller);
    /// @notice Only the address that ownership was offered to may accept it.
    error NotPendingOwner(address caller);
    /// @notice Only the server's key may do this.
    error NotServer(address caller);
    /// @notice Only the guardian or the owner may do this.
    error NotGuardian(address caller);
    /// @notice Only the address that was proposed as the next server may accept.
    error NotPendingServer(address caller);
    /// @notice Only the creator may do this.
    error NotCreator(address caller);
    /// @notice Only the orchestrator may do this.
    error NotOrchestrator(address caller);
    /// @notice Only an organization, a product or the identity contract of this orchestrator may report an event.
    error NotAChild(address caller);
    /// @notice Ownership can be transferred but not renounced: the platform's funds would be lost.
    error OwnershipCannotBeRenounced();

    // Arguments

    /// @notice The zero address is not allowed here.
    error ZeroAddress();
    /// @notice The amount must be above zero.
    error ZeroAmount();
    /// @notice A text is empty or longer than `limit` bytes.
    error BadText(string field, uint256 length, uint256 limit);
    /// @notice A delay or notice given to the constructor must lie in [1, `limit`] seconds.
    error BadDelay(uint256 delay, uint256 limit);
    /// @notice The address given as the token has no code.
    error NotAToken(address token);
    /// @notice There is nothing to withdraw.
    error NothingToWithdraw();

    // Time

    /// @notice The orchestrator is paused.
    error EnforcedPause();
    /// @notice The orchestrator is not paused.
    error ExpectedPause();
    /// @notice A new pause is possible from `readyAt` (block time), so that owners can leave between two pauses.
    error PauseCoolingDown(uint256 readyAt);
    /// @notice The new server may accept from `readyAt` (block time).
    error ServerChangeTooEarly(uint256 readyAt);

    // Registry

    /// @notice The name is already in use.
    error NameTaken(string name);
    /// @notice The address is not an organization of this orchestrator.
    error UnknownOrganization(address organization);
    /// @notice The address is not a product of this orchestrator.
    error UnknownProduct(address product);
    /// @notice The caller is not registered as a creator.
    error UnknownCreator(address creator);
    /// @notice The address is already registered as a creator.
    error AlreadyRegistered(address creator);
    /// @notice The seed is not the one `determineNextSeed` gives.
    error WrongSeed(bytes32 expected, bytes32 got);
    /// @notice The address is neither the creator's own nor its payout address in effect.
    error NotAPayoutAddress(address to);
    /// @notice There is no proposed payout address to cancel.
    error NoPayoutProposal(uint256 id);
    /// @notice The identity of a creator cannot be transferred.
    error Soulbound();
    /// @notice The clone is already initialized.
    error AlreadyInitialized();

    // Settlement

    /// @notice The batch is not the next one: batches cannot be replayed, skipped or reordered.
    error WrongSequence(uint64 expected, uint64 got);
    /// @notice A batch must have at least one line.
    error EmptyBatch();
    /// @notice The gas that is left before line `line` is less than the `needed` gas.
    error NotEnoughGas(uint256 line, uint256 needed);
    /// @notice The balance of the organization is below the amount of the line.
    error InsufficientFunds(address organization, uint256 held, uint256 needed);
    /// @notice The amount settled today would exceed the organization's daily cap.
    error DailyCapExceeded(address organization, uint256 cap, uint256 wouldBe);
    /// @notice The payee is neither an organization nor a registered creator.
    error UnknownPayee(address payee);
    /// @notice An organization cannot pay itself.
    error PayeeIsPayer(address organization);
    /// @notice The received amount differs from the transferred amount.
    error WrongAmountReceived(address to, uint256 expected, uint256 received);

    /// @notice A line that pays escrow out must not have a platform share.
    error PlatformShareOfEscrow(uint256 platform);

    // Organizations and products

    /// @notice The role does not exist, or the account is the owner, which cannot have a role.
    error BadRole(address account, uint8 role);
    /// @notice The server manages roles below administrator only.
    error RoleAboveServer(address account, uint8 role);
    /// @notice A withdrawal is pending. Cancel it first, or wait until it has expired.
    error WithdrawalPending(uint256 readyAt);
    /// @notice There is no withdrawal to execute or cancel.
    error NoWithdrawal();
    /// @notice The withdrawal can be executed from `readyAt` (active time) on.
    error WithdrawalTooEarly(uint256 readyAt, uint256 activeTime);
    /// @notice The withdrawal expired at `validUntil` (active time). Request it again.
    error WithdrawalVoid(uint256 validUntil, uint256 activeTime);
    /// @notice The payment token can leave an organization by settlement and withdrawal only.
    error PaymentTokenIsNotStray();
    /// @notice The price of the product is above the given maximum.
    error PriceAboveMaximum(uint256 price, uint256 maxPrice);
    /// @notice The price increased shortly before, so the caller may have signed for the old one. Give a maximum, or
    /// enable the product at the current price from `readyAt` (block time) on.
    error PriceJustRose(uint256 price, uint256 readyAt);
    /// @notice The product's URI is not the one that the caller agreed to.
    error UriHasChanged(bytes32 expected, bytes32 found);
    /// @notice The product is not enabled.
    error ProductNotEnabled(address product);
    /// @notice The product was retired by its creator.
    error ProductIsRetired(address product);
}

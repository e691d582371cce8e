// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Every way in which Haithe's contracts refuse
/// @notice One page, inherited by all of them, so that one ABI decodes a refusal wherever it was raised: the reason of
/// a skipped line may come from the orchestrator, an organization, the identity contract or the token.
interface IHaitheErrors {
    // Who may call

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
    /// @notice Ownership may be handed over but not abandoned: the platform's funds would be lost.
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
    /// @notice Nothing that may be taken out is left.
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

    /// @notice The name is taken.
    error NameTaken(string name);
    /// @notice The address is not an organization of this orchestrator.
    error UnknownOrganization(address organization);
    /// @notice The address is not a product of this orchestrator.
    error UnknownProduct(address product);
    /// @notice The caller has to be registered as a creator first.
    error UnknownCreator(address creator);
    /// @notice The address is registered as a creator already.
    error AlreadyRegistered(address creator);
    /// @notice The seed is not the one `determineNextSeed` gives.
    error WrongSeed(bytes32 expected, bytes32 got);
    /// @notice The address is neither the creator's own nor its payout address in force.
    error NotAPayoutAddress(address to);
    /// @notice There is no proposed payout address to cancel.
    error NoPayoutProposal(uint256 id);
    /// @notice A creator's identity stays with its creator.
    error Soulbound();
    /// @notice Set up once, by the orchestrator, when the clone is made.
    error AlreadyInitialized();

    // Settlement

    /// @notice Batches are settled one after the other: replays, gaps and reordering end here.
    error WrongSequence(uint64 expected, uint64 got);
    /// @notice A batch has at least one line.
    error EmptyBatch();
    /// @notice The transaction's gas limit does not cover line `line`; it takes `needed` more at this point.
    error NotEnoughGas(uint256 line, uint256 needed);
    /// @notice The organization holds less than the line takes.
    error InsufficientFunds(address organization, uint256 held, uint256 needed);
    /// @notice The line would lift what was taken today above the organization's daily cap.
    error DailyCapExceeded(address organization, uint256 cap, uint256 wouldBe);
    /// @notice The payee is neither an organization nor a registered creator.
    error UnknownPayee(address payee);
    /// @notice An organization cannot pay itself.
    error PayeeIsPayer(address organization);
    /// @notice The token delivered another amount than it was told to.
    error WrongAmountReceived(address to, uint256 expected, uint256 received);

    /// @notice A line that pays escrow out has no platform share.
    error PlatformShareOfEscrow(uint256 platform);

    // Organizations and products

    /// @notice The owner's rights cannot be given as a role, and no such role exists.
    error BadRole(address account, uint8 role);
    /// @notice The server manages roles below administrator only.
    error RoleAboveServer(address account, uint8 role);
    /// @notice A withdrawal is under way; cancel it or let it run out first.
    error WithdrawalPending(uint256 readyAt);
    /// @notice There is no withdrawal to execute or cancel.
    error NoWithdrawal();
    /// @notice The withdrawal may be executed from `readyAt` (active time) on.
    error WithdrawalTooEarly(uint256 readyAt, uint256 activeTime);
    /// @notice The withdrawal could be executed until `validUntil` (active time); request it again.
    error WithdrawalVoid(uint256 validUntil, uint256 activeTime);
    /// @notice The payment token leaves an organization by settlement and withdrawal only.
    error PaymentTokenIsNotStray();
    /// @notice The product costs more than the caller was willing to pay.
    error PriceAboveMaximum(uint256 price, uint256 maxPrice);
    /// @notice The price rose shortly before, so the caller may have seen the old one. Name a maximum, or enable the
    /// product at the price in force from `readyAt` (block time) on.
    error PriceJustRose(uint256 price, uint256 readyAt);
    /// @notice The product's content is no longer at the URI that the caller agreed to.
    error UriHasChanged(bytes32 expected, bytes32 found);
    /// @notice The product is not enabled.
    error ProductNotEnabled(address product);
    /// @notice The product was retired by its creator.
    error ProductIsRetired(address product);
}

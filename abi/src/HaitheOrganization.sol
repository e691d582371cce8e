// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {HaitheProduct} from "./HaitheProduct.sol";
import {IHaitheErrors} from "./interfaces/IHaitheErrors.sol";
import {IHaitheOrchestrator} from "./interfaces/IHaitheOrchestrator.sol";

/// @title An organization, which holds the deposits that its calls are paid from
/// @notice A deposit is a plain transfer of the token to this address. The token leaves in two ways only: settlement by
/// the orchestrator, within a daily cap, and a withdrawal by the owner. A withdrawal is requested one delay ahead, so
/// that calls made before it are settled first. Administrators choose products and cannot move money.
contract HaitheOrganization is IHaitheErrors {
    using SafeERC20 for IERC20;
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @notice A requested withdrawal; `readyAt` is 0 if none is requested.
    /// @param to Address that is paid.
    /// @param readyAt Active time from which it can be executed.
    /// @param amount Maximum that is paid, in base units.
    struct Withdrawal {
        address to;
        uint64 readyAt;
        uint256 amount;
    }

    /// @notice The account has no role.
    uint8 public constant NONE = 0;
    /// @notice The account is a member of the organization.
    uint8 public constant MEMBER = 1;
    /// @notice The account may also enable and disable products.
    uint8 public constant ADMIN = 2;

    /// @notice Seconds after a price increase, but not more than the price notice, in which a product cannot be enabled
    /// for the first time without a maximum. Transactions that were signed before the increase are mined or dropped by
    /// then.
    uint256 public constant RISE_SETTLING = 10 minutes;

    /// @notice The orchestrator that made this organization.
    IHaitheOrchestrator public immutable orchestrator;

    /// @notice The payment token.
    IERC20 public immutable usdt;

    /// @notice Active seconds between the request of a withdrawal, or of a lower cap, and the time it takes effect.
    uint64 public immutable withdrawalDelay;

    /// @notice Active seconds in which a ready withdrawal can be executed.
    uint64 public immutable withdrawalWindow;

    /// @notice The organization's name.
    string public name;

    /// @notice The owner of the organization and of its deposits.
    address public owner;

    /// @notice The account that ownership was offered to; zero if none.
    address public pendingOwner;

    /// @notice Role of an account: `NONE`, `MEMBER` or `ADMIN`. The owner has all rights without a role.
    mapping(address account => uint8 role) public roles;

    /// @notice Maximum price of a call to an enabled product, in base units. 0 allows free calls only.
    mapping(address product => uint256) public maxPriceOf;

    /// @notice The requested withdrawal.
    Withdrawal public withdrawal;

    EnumerableSet.AddressSet private _products;

    uint256 private _cap;
    /// @dev Replaces `_cap` at `_nextCapAt` (active time) if that is not 0.
    uint256 private _nextCap;
    uint64 private _nextCapAt;
    /// @dev The UTC day of the last settlement, and what was settled on that day.
    uint32 private _day;
    uint160 private _takenThatDay;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    modifier onlyAdmin() {
        if (msg.sender != owner && roles[msg.sender] != ADMIN) revert NotAdmin(msg.sender);
        _;
    }

    modifier onlyOrchestrator() {
        if (msg.sender != address(orchestrator)) revert NotOrchestrator(msg.sender);
        _;
    }

    /// @dev Runs once, in the orchestrator's constructor. Clones share these values and are initialized by
    /// `initialize`.
    constructor(IERC20 usdt_, uint64 withdrawalDelay_, uint64 withdrawalWindow_) {
        orchestrator = IHaitheOrchestrator(msg.sender);
        usdt = usdt_;
        withdrawalDelay = withdrawalDelay_;
        withdrawalWindow = withdrawalWindow_;
    }

    /// @notice Initializes a new clone. The orchestrator calls it in the transaction that creates the clone.
    function initialize(string calldata name_, address owner_, uint256 dailyCap_) external onlyOrchestrator {
        if (owner != address(0)) revert AlreadyInitialized();
        name = name_;
        owner = owner_;
        _cap = dailyCap_;
        orchestrator.reportDailyCapChanged(dailyCap_, orchestrator.activeTime());
        // The address can be predicted, so tokens may have arrived before the contract existed.
        uint256 held = usdt.balanceOf(address(this));
        if (held != 0) orchestrator.reportFunded(held);
    }

    // Money

    /// @notice Balance of the organization, in base units.
    function balance() external view returns (uint256) {
        return usdt.balanceOf(address(this));
    }

    /// @notice Pays `amount` to `to` during settlement, within the daily cap.
    function pull(address to, uint256 amount) external onlyOrchestrator {
        uint256 cap = dailyCap();
        uint256 taken = takenToday() + amount;
        if (taken > cap || taken > type(uint160).max) revert DailyCapExceeded(address(this), cap, taken);
        _day = _today();
        _takenThatDay = uint160(taken);
        usdt.safeTransfer(to, amount);
    }

    /// @notice Requests a withdrawal. It can be executed in [delay, delay + window] from now, in active time, and
    /// expires afterwards. Only one can be pending.
    /// @param amount May exceed the balance: executing pays the whole balance of that time, including later deposits.
    function requestWithdrawal(address to, uint256 amount) external onlyOwner {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint64 time = orchestrator.activeTime();
        uint64 earlier = withdrawal.readyAt;
        if (earlier != 0 && time <= earlier + withdrawalWindow) revert WithdrawalPending(earlier);
        uint64 readyAt = time + withdrawalDelay;
        withdrawal = Withdrawal({to: to, readyAt: readyAt, amount: amount});
        orchestrator.reportWithdrawalRequested(to, amount, readyAt, readyAt + withdrawalWindow);
    }

    /// @notice Executes the requested withdrawal. Pays the whole balance if that is less than the requested amount.
    function executeWithdrawal() external onlyOwner returns (uint256 paid) {
        Withdrawal memory request = withdrawal;
        if (request.readyAt == 0) revert NoWithdrawal();
        if (orchestrator.paused()) revert EnforcedPause();
        uint64 time = orchestrator.activeTime();
        if (time < request.readyAt) revert WithdrawalTooEarly(request.readyAt, time);
        uint64 validUntil = request.readyAt + withdrawalWindow;
        if (time > validUntil) revert WithdrawalVoid(validUntil, time);

        uint256 held = usdt.balanceOf(address(this));
        paid = request.amount < held ? request.amount : held;
        if (paid == 0) revert NothingToWithdraw();
        delete withdrawal;
        orchestrator.reportWithdrawalExecuted(request.to, paid);
        usdt.safeTransfer(request.to, paid);
    }

    /// @notice Cancels the requested withdrawal.
    function cancelWithdrawal() external onlyOwner {
        if (withdrawal.readyAt == 0) revert NoWithdrawal();
        delete withdrawal;
        orchestrator.reportWithdrawalCancelled();
    }

    /// @notice Sends another token that was transferred here by mistake to `to`.
    function recoverStray(IERC20 token, address to) external onlyOwner {
        if (address(token) == address(usdt)) revert PaymentTokenIsNotStray();
        if (to == address(0)) revert ZeroAddress();
        uint256 amount = token.balanceOf(address(this));
        if (amount == 0) revert NothingToWithdraw();
        orchestrator.reportStrayRecovered(address(token), to, amount);
        token.safeTransfer(to, amount);
    }

    // The daily cap

    /// @notice Maximum that can be settled today (UTC), in base units.
    function dailyCap() public view returns (uint256) {
        return _nextCapAt != 0 && orchestrator.activeTime() >= _nextCapAt ? _nextCap : _cap;
    }

    /// @notice A lower cap that is not in effect yet, and the active time at which it takes effect; (0, 0) if none.
    function scheduledDailyCap() external view returns (uint256 cap, uint64 effectiveAt) {
        if (_nextCapAt != 0 && orchestrator.activeTime() < _nextCapAt) return (_nextCap, _nextCapAt);
    }

    /// @notice Amount settled today (UTC), in base units.
    function takenToday() public view returns (uint256) {
        return _day == _today() ? _takenThatDay : 0;
    }

    /// @notice Changes the daily cap. A higher cap takes effect at once, a lower one after the withdrawal delay, so
    /// that calls admitted under the old cap can still be settled. Replaces a change that is not in effect yet.
    function setDailyCap(uint256 cap) external onlyOwner {
        uint256 current = dailyCap();
        uint64 effectiveAt = orchestrator.activeTime();
        if (cap >= current) {
            _cap = cap;
            _nextCapAt = 0;
        } else {
            effectiveAt += withdrawalDelay;
            _cap = current;
            _nextCap = cap;
            _nextCapAt = effectiveAt;
        }
        orchestrator.reportDailyCapChanged(cap, effectiveAt);
    }

    // Products

    /// @notice Enables `product` with the current price as its maximum. For an enabled product, sets the maximum to the
    /// current price. A scheduled price increase is not accepted.
    /// @dev A product that is not enabled yet is refused for `RISE_SETTLING` after a price increase, because the caller
    /// may have signed before it. The overloads with a maximum work at any time.
    function enableProduct(address product) external onlyAdmin {
        if (!orchestrator.isProduct(product)) revert UnknownProduct(product);
        uint256 price = HaitheProduct(product).pricePerCall();
        uint256 readyAt = _settledAt(HaitheProduct(product));
        if (block.timestamp < readyAt && !_products.contains(product)) revert PriceJustRose(price, readyAt);
        _enableProduct(product, price);
    }

    /// @notice Enables `product` for calls that cost at most `maxPrice`. For an enabled product, changes the maximum.
    function enableProduct(address product, uint256 maxPrice) external onlyAdmin {
        _enableUpTo(product, maxPrice);
    }

    /// @notice The same, and reverts unless `uriHash` is keccak256 of the product's current `uri`.
    function enableProduct(address product, uint256 maxPrice, bytes32 uriHash) external onlyAdmin {
        _enableUpTo(product, maxPrice);
        bytes32 found = keccak256(bytes(HaitheProduct(product).uri()));
        if (found != uriHash) revert UriHasChanged(uriHash, found);
    }

    /// @notice Disables `product`.
    function disableProduct(address product) external onlyAdmin {
        if (!_products.remove(product)) revert ProductNotEnabled(product);
        delete maxPriceOf[product];
        orchestrator.reportProductDisabled(product);
    }

    /// @notice The enabled products, in no particular order.
    function getEnabledProducts() external view returns (address[] memory) {
        return _products.values();
    }

    /// @notice The same as `getEnabledProducts`.
    function enabledProducts() external view returns (address[] memory) {
        return _products.values();
    }

    function _enableUpTo(address product, uint256 maxPrice) private {
        if (!orchestrator.isProduct(product)) revert UnknownProduct(product);
        uint256 price = HaitheProduct(product).pricePerCall();
        if (price > maxPrice) revert PriceAboveMaximum(price, maxPrice);
        _enableProduct(product, maxPrice);
    }

    /// @dev End of `RISE_SETTLING` after the latest price increase of the product; 0 if its price never increased.
    function _settledAt(HaitheProduct product) private view returns (uint256) {
        uint256 roseAt = product.priceRoseAt();
        if (roseAt == 0) return 0;
        uint256 notice = product.priceNotice();
        return roseAt + (notice < RISE_SETTLING ? notice : RISE_SETTLING);
    }

    function _enableProduct(address product, uint256 maxPrice) private {
        if (HaitheProduct(product).retired()) revert ProductIsRetired(product);
        _products.add(product);
        maxPriceOf[product] = maxPrice;
        orchestrator.reportProductEnabled(product, maxPrice);
    }

    // People

    /// @notice Sets the role of `account`; `NONE` removes it.
    function setRole(address account, uint8 role) external onlyOwner {
        if (role > ADMIN) revert BadRole(account, role);
        _setRole(account, role);
    }

    /// @notice The same for the server, which mirrors roles that were set off chain. It can neither appoint nor remove
    /// administrators.
    function setRoleFor(address account, uint8 role) external {
        if (msg.sender != orchestrator.server()) revert NotServer(msg.sender);
        if (orchestrator.paused()) revert EnforcedPause();
        if (role >= ADMIN || roles[account] >= ADMIN) revert RoleAboveServer(account, role);
        _setRole(account, role);
    }

    /// @notice Offers ownership to `newOwner`, which has to accept it. The zero address cancels the offer.
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        orchestrator.reportOwnershipOffered(msg.sender, newOwner);
    }

    /// @notice Accepts ownership. A requested withdrawal stays pending; only the new owner can execute or cancel it.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        address previous = owner;
        bool hadRole = roles[msg.sender] != NONE;
        pendingOwner = address(0);
        owner = msg.sender;
        delete roles[msg.sender];
        if (hadRole) orchestrator.reportRoleChanged(msg.sender, NONE);
        orchestrator.reportOwnershipTransferred(previous, msg.sender);
    }

    function _setRole(address account, uint8 role) private {
        if (account == address(0)) revert ZeroAddress();
        if (account == owner) revert BadRole(account, role);
        roles[account] = role;
        orchestrator.reportRoleChanged(account, role);
    }

    function _today() private view returns (uint32) {
        return uint32(block.timestamp / 1 days);
    }
}

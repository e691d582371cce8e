// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {HaitheOrganization} from "../HaitheOrganization.sol";
import {CreatorTally} from "./CreatorTally.sol";
import {Registry} from "./Registry.sol";

/// @title Settlement of what organizations owe, in numbered batches
/// @notice A batch has one line per organization. Each line runs in its own call with its own gas allowance. It moves
/// all of its money or none of it. A line that fails is skipped and reported; the other lines are settled.
abstract contract Settlement is Registry, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice A share of a line.
    /// @param payee An organization, paid by transfer, or a registered creator, credited in the identity contract.
    struct Credit {
        address payee;
        uint96 amount;
    }

    /// @notice What one organization pays.
    /// @param org The organization that pays.
    /// @param platform The platform's share.
    /// @param credits The shares of creators and of other organizations.
    struct Line {
        address org;
        uint96 platform;
        Credit[] credits;
    }

    /// @dev Gas allowance of a line, and of each of its credits: at least a fifth more than was measured with cold
    /// storage and a token whose `transfer` takes 15,000 gas more than OpenZeppelin's ERC20
    /// (`tests/contracts/line_gas.rs`). A token that burns all gas consumes at most the allowance.
    uint256 private constant LINE_GAS = 150_000;
    uint256 private constant CREDIT_GAS = 66_000;

    /// @dev Gas that encodes the call of a line and reports a skipped line, and the same for each of its credits.
    uint256 private constant REPORT_GAS = 30_000;
    uint256 private constant REPORT_CREDIT_GAS = 1_000;

    /// @dev Bytes that are kept of the reason of a skipped line. Every error of these contracts fits.
    uint256 private constant MAX_REASON = 256;

    /// @notice The sequence number the next batch must carry; the first batch is 0.
    uint64 public nextBatch;

    /// @notice What the platform earned and has not withdrawn yet, in base units.
    uint256 public platformFunds;

    /// @notice keccak256(abi.encode(chain id, this contract, seq, root, lines)) of a settled batch.
    mapping(uint64 seq => bytes32) public batchHash;

    /// @notice The root of the Merkle tree over a batch's receipts.
    mapping(uint64 seq => bytes32) public receiptsRoot;

    /// @dev One bit per line, 256 lines per word. The bit is set if the line was settled.
    mapping(uint64 seq => mapping(uint256 word => uint256 bits)) private _settledLines;

    /// @dev The UTC day of the last payment out of escrow, and what was paid on that day.
    uint32 private _escrowDay;
    uint224 private _escrowPaidThatDay;

    /// @notice Settles batch `seq`.
    /// @param seq Must equal `nextBatch`.
    /// @param root Root of the Merkle tree over the receipts of the lines.
    /// @param lines One line per organization is the cheapest; more are allowed. A line whose `org` is this contract
    /// pays escrow out of `platformFunds`.
    /// @return skipped Number of lines that were skipped. Each of them emitted `LineSkipped`.
    function settleBatch(uint64 seq, bytes32 root, Line[] calldata lines)
        external
        onlyServer
        nonReentrant
        returns (uint256 skipped)
    {
        if (seq != nextBatch) revert WrongSequence(nextBatch, seq);
        if (lines.length == 0) revert EmptyBatch();
        bytes32 hash = keccak256(abi.encode(block.chainid, address(this), seq, root, lines));
        nextBatch = seq + 1;
        batchHash[seq] = hash;
        receiptsRoot[seq] = root;

        uint256 total;
        uint256 settled;
        for (uint256 i; i < lines.length; ++i) {
            (bool ok, uint256 amount) = _tryLine(seq, i, lines[i]);
            if (ok) {
                total += amount;
                settled |= 1 << (i & 0xff);
            } else {
                ++skipped;
            }
            if (i & 0xff == 0xff || i == lines.length - 1) {
                _settledLines[seq][i >> 8] = settled;
                settled = 0;
            }
        }
        _creditCreators(seq);
        emit BatchSettled(seq, hash, root, total, skipped);
    }

    /// @notice Settles one line. Only this contract can call it, so that a failure reverts this line only.
    function settleLine(Line calldata line) external returns (uint256 total) {
        if (msg.sender != address(this)) revert NotOrchestrator(msg.sender);
        if (line.org == address(this)) return _payEscrow(line);
        if (!isOrganization(line.org)) revert UnknownOrganization(line.org);
        total = _sum(line);
        uint256 held = usdt.balanceOf(line.org);
        if (held < total) revert InsufficientFunds(line.org, held, total);

        uint256 kept = line.platform;
        Credit[] calldata credits = line.credits;
        for (uint256 i; i < credits.length; ++i) {
            Credit calldata credit = credits[i];
            if (credit.payee == line.org) revert PayeeIsPayer(line.org);
            if (isOrganization(credit.payee)) {
                _pull(line.org, credit.payee, credit.amount);
            } else {
                uint256 id = creators[credit.payee];
                if (id == 0) revert UnknownPayee(credit.payee);
                CreatorTally.add(id, credit.amount);
                kept += credit.amount;
            }
        }
        _pull(line.org, address(this), kept);
        platformFunds += line.platform;
        emit OrganizationExpenditure(line.org, total, server);
    }

    /// @notice Whether line `line` of batch `seq` moved its money.
    function lineSettled(uint64 seq, uint32 line) public view returns (bool) {
        return _settledLines[seq][line >> 8] & (1 << (line & 0xff)) != 0;
    }

    /// @notice Whether the receipt with this leaf was settled in line `line` of batch `seq`.
    /// @dev Compute `leaf` with `receiptLeaf` for the same `seq` and `line`. A receipt whose line was skipped gets
    /// another leaf in a later batch; its old leaf never verifies.
    function verifyReceipt(uint64 seq, uint32 line, bytes32 leaf, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return lineSettled(seq, line) && MerkleProof.verifyCalldata(proof, receiptsRoot[seq], leaf);
    }

    /// @notice The leaf of a receipt, hashed twice as in OpenZeppelin's StandardMerkleTree.
    /// @param version Version of the receipt's format.
    /// @param receiptId Id of the receipt.
    /// @param seq The batch that contains the receipt.
    /// @param line The line that contains the receipt.
    /// @param org The organization that pays.
    /// @param nano The price in nano-USDT.
    /// @param receiptHash SHA-256 of the receipt's RFC 8785 JSON.
    function receiptLeaf(
        uint8 version,
        bytes32 receiptId,
        uint64 seq,
        uint32 line,
        address org,
        uint256 nano,
        bytes32 receiptHash
    ) external pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(version, receiptId, seq, line, org, nano, receiptHash))));
    }

    /// @dev Credits each creator with the sum of all lines: one storage write and one event per creator, for any number
    /// of paying organizations.
    function _creditCreators(uint64 seq) private {
        for (uint256 i = CreatorTally.count(); i != 0; --i) {
            (uint256 id, uint256 amount) = CreatorTally.pop();
            creatorIdentity.registerFunds(id, amount);
            emit CreatorCredited(id, seq, amount);
        }
    }

    /// @dev Runs a line. The gas that is left must cover its whole allowance before it starts. So a gas limit that is
    /// too low reverts the whole transaction and is never mistaken for a failure of the line.
    function _tryLine(uint64 seq, uint256 index, Line calldata line) private returns (bool ok, uint256 total) {
        uint256 credits = line.credits.length;
        uint256 lineGas = LINE_GAS + CREDIT_GAS * credits;
        // A call forwards at most 63/64 of the gas that is left (EIP-150).
        uint256 needed = lineGas + lineGas / 63 + REPORT_GAS + REPORT_CREDIT_GAS * credits;
        if (gasleft() < needed) revert NotEnoughGas(index, needed);
        try Settlement(this).settleLine{gas: lineGas}(line) returns (uint256 amount) {
            return (true, amount);
        } catch {
            emit LineSkipped(seq, index, line.org, _sum(line), _revertReason());
        }
    }

    /// @dev Settles a line whose `org` is this contract: pays escrow out of `platformFunds`. Earlier lines settled it
    /// as the platform's share because the payees could not be paid. A stolen server key can take at most
    /// `initialDailyCap` per UTC day this way, the same as from an organization.
    function _payEscrow(Line calldata line) private returns (uint256 total) {
        if (line.platform != 0) revert PlatformShareOfEscrow(line.platform);
        total = _sum(line);
        uint256 held = platformFunds;
        if (held < total) revert InsufficientFunds(address(this), held, total);
        _countEscrow(total);
        platformFunds = held - total;

        Credit[] calldata credits = line.credits;
        for (uint256 i; i < credits.length; ++i) {
            Credit calldata credit = credits[i];
            if (isOrganization(credit.payee)) {
                _send(credit.payee, credit.amount);
            } else {
                uint256 id = creators[credit.payee];
                if (id == 0) revert UnknownPayee(credit.payee);
                CreatorTally.add(id, credit.amount);
            }
        }
        emit EscrowPaid(total, server);
    }

    /// @dev Bounds what is paid out of escrow on a UTC day by the daily cap of a new organization.
    function _countEscrow(uint256 amount) private {
        uint32 today = uint32(block.timestamp / 1 days);
        uint256 paid = amount + (_escrowDay == today ? _escrowPaidThatDay : 0);
        if (paid > initialDailyCap || paid > type(uint224).max) {
            revert DailyCapExceeded(address(this), initialDailyCap, paid);
        }
        _escrowDay = today;
        _escrowPaidThatDay = uint224(paid);
    }

    /// @dev Pays out of this contract's own tokens. Reverts unless exactly `amount` arrives.
    function _send(address to, uint256 amount) private {
        if (amount == 0) return;
        uint256 before = usdt.balanceOf(to);
        usdt.safeTransfer(to, amount);
        uint256 received = usdt.balanceOf(to) - before;
        if (received != amount) revert WrongAmountReceived(to, amount, received);
    }

    /// @dev Moves tokens out of an organization. Reverts unless exactly `amount` arrives.
    function _pull(address org, address to, uint256 amount) private {
        if (amount == 0) return;
        uint256 before = usdt.balanceOf(to);
        HaitheOrganization(org).pull(to, amount);
        uint256 received = usdt.balanceOf(to) - before;
        if (received != amount) revert WrongAmountReceived(to, amount, received);
    }

    function _sum(Line calldata line) private pure returns (uint256 total) {
        total = line.platform;
        Credit[] calldata credits = line.credits;
        for (uint256 i; i < credits.length; ++i) {
            total += credits[i].amount;
        }
    }

    /// @dev The first `MAX_REASON` bytes that the last call returned. Solidity's `catch (bytes memory)` would copy all
    /// of them and has no bound.
    function _revertReason() private pure returns (bytes memory reason) {
        assembly ("memory-safe") {
            let size := returndatasize()
            if gt(size, MAX_REASON) { size := MAX_REASON }
            reason := mload(0x40)
            mstore(0x40, add(reason, and(add(size, 0x3f), not(0x1f))))
            mstore(reason, size)
            returndatacopy(add(reason, 0x20), 0, size)
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Checks any kind of wallet signature in one `eth_call`, without being deployed
/// @notice Call it as creation code ++ abi.encode(signer, hash, signature) without a receiver. It returns one byte, 1
/// for valid. A revert means invalid, too. An `eth_call` changes nothing on the chain.
/// @dev Checks in the order of ERC-6492: its suffix, then ERC-1271 if the signer has code, then an ECDSA signature (low
/// s only), which also covers accounts with delegated code (EIP-7702). It executes untrusted code, so bound the gas.
contract SignatureProbe {
    /// @dev The suffix of an ERC-6492 signature.
    bytes32 private constant SUFFIX = 0x6492649264926492649264926492649264926492649264926492649264926492;

    constructor(address signer, bytes32 hash, bytes memory signature) {
        bool valid = _isWrapped(signature) ? _checkWrapped(signer, hash, signature) : _check(signer, hash, signature);
        assembly ("memory-safe") {
            mstore8(0, valid)
            return(0, 1)
        }
    }

    /// @dev An ERC-6492 signature: (factory, calldata of the factory, inner signature) and the suffix. The factory is
    /// called if the wallet is not deployed yet, or if it must be prepared before it accepts the signature.
    function _checkWrapped(address signer, bytes32 hash, bytes memory signature) private returns (bool) {
        assembly ("memory-safe") {
            mstore(signature, sub(mload(signature), 32))
        }
        (address factory, bytes memory data, bytes memory inner) = abi.decode(signature, (address, bytes, bytes));
        if (signer.code.length != 0 && _check(signer, hash, inner)) return true;
        assembly {
            // The result is ignored: the check below decides.
            pop(call(gas(), factory, 0, add(data, 0x20), mload(data), 0, 0))
        }
        return _check(signer, hash, inner);
    }

    function _check(address signer, bytes32 hash, bytes memory signature) private view returns (bool) {
        if (signer.code.length != 0 && SignatureChecker.isValidERC1271SignatureNow(signer, hash, signature)) {
            return true;
        }
        (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
        return failure == ECDSA.RecoverError.NoError && recovered == signer;
    }

    function _isWrapped(bytes memory signature) private pure returns (bool) {
        uint256 length = signature.length;
        if (length < 32) return false;
        bytes32 tail;
        assembly ("memory-safe") {
            tail := mload(add(signature, length))
        }
        return tail == SUFFIX;
    }
}

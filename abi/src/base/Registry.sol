// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {HaitheCreatorIdentity} from "../HaitheCreatorIdentity.sol";
import {HaitheOrganization} from "../HaitheOrganization.sol";
import {HaitheProduct} from "../HaitheProduct.sol";
import {Governed} from "./Governed.sol";

/// @title Organizations, creators and products
/// @notice Organizations and products are EIP-1167 clones of one implementation each. A name can be used once only.
///
/// The address of a clone depends only on the account that it is created for and on that account's own counter
/// (CREATE2). Transactions of other accounts cannot change it, in whatever order they are mined.
abstract contract Registry is Governed {
    uint256 private constant MAX_NAME = 64;
    uint256 private constant MAX_CATEGORY = 64;
    uint256 private constant MAX_URI = 2048;
    uint256 private constant MAX_IV = 256;
    uint256 private constant MAX_KEY = 8192;

    /// @notice The longest price notice, in seconds.
    uint64 public constant MAX_PRICE_NOTICE = 30 days;

    /// @notice The payment token.
    IERC20 public immutable usdt;

    /// @notice Identities of creators and the money credited to them.
    HaitheCreatorIdentity public immutable creatorIdentity;

    /// @notice The implementation that organizations are clones of.
    address public immutable organizationImplementation;

    /// @notice The implementation that products are clones of.
    address public immutable productImplementation;

    /// @notice The daily cap of a new organization, in base units.
    uint256 public immutable initialDailyCap;

    /// @notice Seconds between the announcement of a higher price of a product and its effect.
    uint64 public immutable priceNotice;

    /// @notice Organizations in the order of their creation.
    address[] public organizations;

    /// @notice Products in the order of their creation.
    address[] public products;

    /// @notice Whether `product` was made by this orchestrator.
    mapping(address product => bool) public override isProduct;

    /// @notice The identity of a creator; 0 if not registered.
    mapping(address creator => uint256 id) public creators;

    /// @notice Whether an organization has or had this name.
    mapping(string name => bool) public organizationNameExists;

    /// @notice Whether a product has or had this name.
    mapping(string name => bool) public productNameExists;

    /// @notice Number of organizations that were created for an account.
    mapping(address account => uint256) public organizationCountOf;

    /// @notice Number of products that an account has added.
    mapping(address account => uint256) public productCountOf;

    /// @dev Position in `organizations` plus one; 0 means not an organization.
    mapping(address organization => uint256) private _organizationNumber;

    constructor(IERC20 usdt_, uint256 initialDailyCap_, uint64 priceNotice_) {
        if (address(usdt_).code.length == 0) revert NotAToken(address(usdt_));
        if (priceNotice_ == 0 || priceNotice_ > MAX_PRICE_NOTICE) revert BadDelay(priceNotice_, MAX_PRICE_NOTICE);
        usdt = usdt_;
        initialDailyCap = initialDailyCap_;
        priceNotice = priceNotice_;
        creatorIdentity = new HaitheCreatorIdentity(withdrawalDelay);
        organizationImplementation = address(new HaitheOrganization(usdt_, withdrawalDelay, WITHDRAWAL_WINDOW));
        productImplementation = address(new HaitheProduct(priceNotice_));
    }

    /// @notice Creates an organization that belongs to the caller.
    function createOrganization(string memory name) external returns (address organization) {
        return _createOrganization(name, msg.sender);
    }

    /// @notice Creates an organization that belongs to `owner_`. The server pays the gas.
    function createOrganizationFor(string memory name, address owner_)
        external
        onlyServer
        returns (address organization)
    {
        if (owner_ == address(0)) revert ZeroAddress();
        return _createOrganization(name, owner_);
    }

    /// @notice Registers the calling wallet as a creator. The wallet pays the gas.
    /// @param uri Location of the creator's description.
    /// @param pubKey The creator's public key.
    function registerCreator(string memory uri, string memory pubKey) external returns (uint256 id) {
        return _registerCreator(msg.sender, uri, creatorIdentity.determineNextSeed(msg.sender), pubKey);
    }

    /// @notice Registers `creator` with the seed that the identity contract determines for it. The server pays the gas.
    /// @param uri Location of the creator's description.
    /// @param seed `creatorIdentity.determineNextSeed(creator)`.
    /// @param pubKey The creator's public key.
    function registerAsCreator(address creator, string memory uri, bytes32 seed, string memory pubKey)
        external
        onlyServer
    {
        if (creator == address(0)) revert ZeroAddress();
        _registerCreator(creator, uri, seed, pubKey);
    }

    /// @notice Adds a product of the calling creator.
    /// @param name Unique among products.
    /// @param uri Location of the sealed content.
    /// @param iv Initialization vector of the sealed content.
    /// @param encryptedKeyForTEE Content key, sealed to the enclave.
    /// @param category Kind of content, for example `knowledge:text`.
    /// @param pricePerCall Base units of the token.
    function addProduct(
        string memory name,
        string memory uri,
        string memory iv,
        string memory encryptedKeyForTEE,
        string memory category,
        uint256 pricePerCall
    ) external returns (address product) {
        if (creators[msg.sender] == 0) revert UnknownCreator(msg.sender);
        _requireName(name);
        _requireAtMost("uri", uri, MAX_URI);
        _requireAtMost("iv", iv, MAX_IV);
        _requireAtMost("encryptedKeyForTEE", encryptedKeyForTEE, MAX_KEY);
        _requireAtMost("category", category, MAX_CATEGORY);
        if (productNameExists[name]) revert NameTaken(name);
        productNameExists[name] = true;

        bytes32 salt = _salt(msg.sender, productCountOf[msg.sender]++);
        product = Clones.cloneDeterministic(productImplementation, salt);
        isProduct[product] = true;
        products.push(product);
        emit ProductAdded(
            product, msg.sender, products.length - 1, name, uri, iv, encryptedKeyForTEE, category, pricePerCall
        );
        HaitheProduct(product).initialize(msg.sender, name, uri, iv, encryptedKeyForTEE, category, pricePerCall);
    }

    /// @notice The address of the next organization that is created for `account`.
    function predictOrganization(address account) external view returns (address) {
        bytes32 salt = _salt(account, organizationCountOf[account]);
        return Clones.predictDeterministicAddress(organizationImplementation, salt);
    }

    /// @notice The address of the next product of `account`.
    function predictProduct(address account) external view returns (address) {
        return Clones.predictDeterministicAddress(productImplementation, _salt(account, productCountOf[account]));
    }

    /// @notice Number of organizations.
    function organizationsCount() external view returns (uint256) {
        return organizations.length;
    }

    /// @notice Number of products.
    function productsCount() external view returns (uint256) {
        return products.length;
    }

    /// @notice Whether `organization` was made by this orchestrator.
    function isOrganization(address organization) public view returns (bool) {
        return _organizationNumber[organization] != 0;
    }

    /// @notice The position of `organization` in `organizations`.
    function getOrganizationIndex(address organization) external view returns (uint256) {
        uint256 number = _organizationNumber[organization];
        if (number == 0) revert UnknownOrganization(organization);
        return number - 1;
    }

    function _createOrganization(string memory name, address owner_) private returns (address organization) {
        _requireName(name);
        if (organizationNameExists[name]) revert NameTaken(name);
        organizationNameExists[name] = true;

        bytes32 salt = _salt(owner_, organizationCountOf[owner_]++);
        organization = Clones.cloneDeterministic(organizationImplementation, salt);
        organizations.push(organization);
        _organizationNumber[organization] = organizations.length;
        emit OrganizationCreated(organization, owner_, organizations.length - 1, name);
        HaitheOrganization(organization).initialize(name, owner_, initialDailyCap);
    }

    function _registerCreator(address creator, string memory uri, bytes32 seed, string memory pubKey)
        private
        returns (uint256 id)
    {
        if (creators[creator] != 0) revert AlreadyRegistered(creator);
        _requireAtMost("uri", uri, MAX_URI);
        _requireAtMost("pubKey", pubKey, MAX_KEY);
        id = creatorIdentity.mint(creator, uri, seed, pubKey);
        creators[creator] = id;
        emit CreatorRegistered(id, creator, uri, seed, pubKey);
    }

    /// @dev Salt of a clone: the account that it is created for, and that account's own counter.
    function _salt(address account, uint256 counter) private pure returns (bytes32) {
        return keccak256(abi.encode(account, counter));
    }

    function _requireName(string memory name) private pure {
        if (bytes(name).length == 0) revert BadText("name", 0, MAX_NAME);
        _requireAtMost("name", name, MAX_NAME);
    }

    function _requireAtMost(string memory field, string memory text, uint256 limit) internal pure {
        if (bytes(text).length > limit) revert BadText(field, bytes(text).length, limit);
    }
}

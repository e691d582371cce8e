//! What others rely on: functions that keep their signature, and code that fits on a chain.

use std::{collections::BTreeSet, fs};

use alloy::json_abi::JsonAbi;

use crate::{bindings::HaitheOrchestrator, world::World};

/// Functions that the frontend's SDK and the guide name.
const KEPT: [(&str, &[&str]); 5] = [
    (
        "HaitheOrchestrator",
        &[
            "addProduct(string,string,string,string,string,uint256)",
            "createOrganization(string)",
            "creatorIdentity()",
            "creators(address)",
            "getOrganizationIndex(address)",
            "isOrganization(address)",
            "isProduct(address)",
            "organizationNameExists(string)",
            "organizations(uint256)",
            "organizationsCount()",
            "productNameExists(string)",
            "products(uint256)",
            "productsCount()",
            "registerAsCreator(address,string,bytes32,string)",
            "server()",
            "usdt()",
        ],
    ),
    (
        "HaitheOrganization",
        &[
            "balance()",
            "disableProduct(address)",
            "enableProduct(address)",
            "enabledProducts()",
            "getEnabledProducts()",
            "name()",
            "owner()",
            "transferOwnership(address)",
        ],
    ),
    (
        "HaitheCreatorIdentity",
        &[
            "determineNextSeed(address)",
            "funds(uint256)",
            "mint(address,string,bytes32,string)",
            "pubKeys(uint256)",
            "pvtKeySeeds(uint256)",
            "registerFunds(uint256,uint256)",
            "tokenURI(uint256)",
            "withdrawFunds(uint256)",
        ],
    ),
    (
        "HaitheProduct",
        &[
            "category()",
            "creator()",
            "encryptedKeyForTEE()",
            "iv()",
            "name()",
            "pricePerCall()",
            "setPricePerCall(uint256)",
            "uri()",
        ],
    ),
    (
        "tUSDT",
        &["balanceOf(address)", "decimals()", "transfer(address,uint256)"],
    ),
];

fn abi(contract: &str) -> JsonAbi {
    let path = haithe_tests::here().join(format!("../abi/{contract}.json"));
    let artifact: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    serde_json::from_value(artifact["abi"].clone()).unwrap()
}

#[test]
fn the_functions_that_the_frontend_calls_keep_their_signatures() {
    for (contract, kept) in KEPT {
        let functions: BTreeSet<_> = abi(contract)
            .functions()
            .map(|function| function.signature())
            .collect();
        for signature in kept {
            assert!(functions.contains(*signature), "{contract} lost {signature}");
        }
    }
    let events: BTreeSet<_> = abi("HaitheOrchestrator")
        .events()
        .map(|event| event.signature())
        .collect();
    assert!(events.contains("OrganizationExpenditure(address,uint256,address)"));
}

#[test]
fn names_of_functions_and_events_do_not_collide_with_generated_code() {
    for (contract, _) in KEPT {
        let abi = abi(contract);
        for name in ["at", "new", "deploy", "provider", "address", "call_builder"] {
            assert!(!abi.functions.contains_key(name), "{contract}.{name}");
        }
        assert!(
            abi.events.values().all(|overloads| overloads.len() == 1),
            "{contract} overloads an event"
        );
    }
}

#[tokio::test]
async fn one_abi_decodes_every_refusal_of_ours() {
    let all: BTreeSet<_> = abi("HaitheOrchestrator")
        .errors()
        .map(|error| error.signature())
        .collect();
    for contract in ["HaitheOrganization", "HaitheProduct"] {
        for error in abi(contract).errors() {
            assert!(
                all.contains(&error.signature()),
                "{contract} alone knows {}",
                error.signature()
            );
        }
    }
}

#[tokio::test]
async fn every_event_comes_from_the_orchestrator_the_token_or_the_identitys_erc721() {
    let world = World::plain().await;
    crate::scene::everything_happens(&world).await;
    let filter = alloy::rpc::types::Filter::new().from_block(0);
    let logs = alloy::providers::Provider::get_logs(&world.provider, &filter)
        .await
        .unwrap();
    let expected = [
        *world.hub.address(),
        *world.token.address(),
        *world.identity.address(),
    ];
    let foreign: Vec<_> = logs
        .iter()
        .filter(|log| !expected.contains(&log.address()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");

    let emitted: BTreeSet<_> = logs
        .iter()
        .filter(|log| log.address() == *world.hub.address())
        .filter_map(|log| log.topic0().copied())
        .collect();
    for event in abi("HaitheOrchestrator").events() {
        assert!(
            emitted.contains(&event.selector()),
            "{} was never emitted",
            event.signature()
        );
    }
    assert!(HaitheOrchestrator::DEPLOYED_BYTECODE.len() <= 24_576);
}

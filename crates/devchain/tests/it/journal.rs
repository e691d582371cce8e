//! A chain that is kept in a file comes back as it was, however it ended.

use crate::support::*;
use alloy::primitives::U256;
use haithe_devchain::{DevChain, DevChainConfig, Mining, ReorgTxs, StartError};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

fn kept(path: &Path, mining: Mining) -> DevChain {
    DevChain::start(DevChainConfig {
        journal: Some(path.to_owned()),
        ..config(mining)
    })
    .unwrap()
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.jsonl");
    (folder, path)
}

/// Everything that can be asked about a chain.
fn portrait(chain: &DevChain) -> Value {
    let head = chain.head().number;
    let blocks: Vec<_> = (0..=head)
        .map(|n| serde_json::to_value(chain.block(n)).unwrap())
        .collect();
    let receipts: Vec<Value> = (0..=head)
        .map(|n| chain.ask("eth_getBlockReceipts", json!([format!("0x{n:x}")])))
        .collect();
    let accounts: Vec<_> = (0..10)
        .map(|n| (chain.balance(account(n).address), chain.nonce(account(n).address)))
        .collect();
    json!({
        "blocks": blocks,
        "receipts": receipts,
        "accounts": format!("{accounts:?}"),
        "nobody": [chain.balance(NOBODY), chain.slot(NOBODY, 1)],
        "logs": chain.ask::<Value>("eth_getLogs", json!([{"fromBlock": "0x0"}])),
        "now": chain.now(),
    })
}

/// Does everything that a journal has to remember.
fn live(chain: &DevChain) {
    let store = chain.deploy(STORE);
    for nonce in 1..6 {
        chain
            .send(&sign(0, call_draft(nonce, store, word(nonce))))
            .unwrap();
    }
    chain.mine(5);
    chain.advance_time(5000);
    chain.set_balance(NOBODY, U256::from(77)).unwrap();
    chain.set_storage(NOBODY, U256::from(1), U256::from(2)).unwrap();
    chain.set_code(account(9).address, STORE.into()).unwrap();
    chain.set_nonce(account(8).address, 3).unwrap();
    chain.set_base_fee(5_000_000_000);
    chain.mine(1);
    chain.reorg(3, ReorgTxs::Replay).unwrap();
    let snapshot = chain.snapshot();
    chain.send(&sign(1, draft(0))).unwrap();
    chain.set_balance(NOBODY, U256::from(88)).unwrap();
    chain.revert(snapshot);
    chain.rollback(1).unwrap();
    chain.send(&sign(2, draft(0))).unwrap();
    chain.mine(2);
}

#[test]
fn a_replayed_chain_is_the_same_chain() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Instant);
    live(&chain);
    let before = portrait(&chain);
    drop(chain);

    let chain = kept(&path, Mining::Instant);
    assert_eq!(portrait(&chain), before);
    chain.send(&sign(3, draft(0))).unwrap();
    let before = portrait(&chain);
    drop(chain);
    let chain = kept(&path, Mining::Manual);
    assert_eq!(portrait(&chain), before);
    chain.reorg(2, ReorgTxs::Drop).unwrap();
}

#[test]
fn a_journal_cut_anywhere_gives_a_chain_that_once_was() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Instant);
    live(&chain);
    drop(chain);
    let whole = fs::read(&path).unwrap();
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let newlines: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // Around every line's end, and at some places within.
    let mut cuts: Vec<usize> = newlines
        .iter()
        .flat_map(|at| [at.saturating_sub(1), *at, at + 1, at + 2])
        .collect();
    cuts.extend((first_line..whole.len()).step_by(97));
    cuts.retain(|cut| (first_line..=whole.len()).contains(cut));
    for cut in cuts {
        fs::write(&path, &whole[..cut]).unwrap();
        let chain = kept(&path, Mining::Instant);
        let before = portrait(&chain);
        drop(chain);
        assert_eq!(portrait(&kept(&path, Mining::Instant)), before, "cut at {cut}");
        let left = fs::read(&path).unwrap();
        assert!(
            left.ends_with(b"\n") && whole.starts_with(&left),
            "only whole lines stay, cut at {cut}"
        );
    }
}

#[test]
fn a_torn_count_of_empty_blocks_costs_only_them() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Manual);
    chain.send(&sign(0, draft(0))).unwrap();
    chain.mine(10);
    drop(chain);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(r#""count":9"#, r#""count":8"#)).unwrap();
    let chain = kept(&path, Mining::Manual);
    assert_eq!((chain.head().number, chain.balance(NOBODY)), (1, U256::from(1)));
}

#[test]
fn empty_blocks_take_one_line_however_many() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Manual);
    chain.mine(10_000);
    let head = chain.head();
    drop(chain);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(kept(&path, Mining::Manual).head(), head);
}

#[test]
fn an_interval_goes_on_where_it_ended() {
    let (_folder, path) = file();
    let mut before = DevChain::start(config(Mining::Manual)).unwrap().head();
    // The file is free as soon as the last handle is gone, in the middle of mining too.
    for _ in 0..20 {
        let chain = kept(&path, Mining::Interval(Duration::from_millis(1)));
        assert!(chain.head().number >= before.number);
        assert_eq!(chain.block(before.number).header.hash, before.hash);
        until("it goes on", || chain.head().number > before.number + 2);
        before = chain.head();
    }
}

#[test]
fn the_machines_clock_keeps_its_distance_across_restarts() {
    let (_folder, path) = file();
    let config = DevChainConfig {
        journal: Some(path),
        mining: Mining::Manual,
        ..DevChainConfig::default()
    };
    let chain = DevChain::start(config.clone()).unwrap();
    chain.advance_time(1_000_000);
    let now = chain.now();
    drop(chain);
    let chain = DevChain::start(config).unwrap();
    assert!(chain.now() >= now && chain.now() < now + 5);
}

#[test]
fn another_chains_journal_is_refused() {
    let (_folder, path) = file();
    drop(kept(&path, Mining::Manual));
    let other = DevChainConfig {
        chain_id: 5,
        journal: Some(path.clone()),
        ..DevChainConfig::default()
    };
    let error = DevChain::start(other).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::OtherChain {
                found: 133_717,
                wanted: 5,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_journal_has_one_user_at_a_time() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Manual);
    let again = DevChain::start(DevChainConfig {
        journal: Some(path.clone()),
        ..DevChainConfig::default()
    });
    assert!(matches!(again, Err(StartError::Journal { .. })));
    drop(chain);
    kept(&path, Mining::Manual);
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let (_folder, path) = file();
    for text in ["hello\n", "{}\n{}\n", "\n\n", "hello"] {
        fs::write(&path, text).unwrap();
        let config = DevChainConfig {
            journal: Some(path.clone()),
            ..DevChainConfig::default()
        };
        let error = DevChain::start(config).unwrap_err();
        assert!(
            matches!(error, StartError::Damaged { line: 1, .. }),
            "{text:?}: {error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_line_changed_by_hand_is_found_out() {
    let (_folder, path) = file();
    let chain = kept(&path, Mining::Instant);
    chain.send(&sign(0, draft(0))).unwrap();
    chain.set_balance(NOBODY, U256::from(5)).unwrap();
    chain.send(&sign(0, draft(1))).unwrap();
    drop(chain);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(r#""balance":"0x5""#, r#""balance":"0x6""#)).unwrap();
    let config = DevChainConfig {
        journal: Some(path),
        ..config(Mining::Instant)
    };
    let error = DevChain::start(config).unwrap_err();
    assert!(matches!(error, StartError::Damaged { line: 4, .. }), "{error}");
    assert!(error.to_string().contains("comes out different"), "{error}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let bad = [
        DevChainConfig {
            chain_id: 0,
            ..DevChainConfig::default()
        },
        DevChainConfig {
            block_gas_limit: 20_000,
            ..DevChainConfig::default()
        },
        DevChainConfig {
            base_fee: 0,
            ..DevChainConfig::default()
        },
    ];
    for config in bad {
        assert!(matches!(DevChain::start(config), Err(StartError::Config(_))));
    }
}

//! The program: it says where it is, keeps its chain, and ends when told.

use crate::support::*;
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::U256,
    providers::{Provider, ProviderBuilder},
};
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

struct Program {
    child: Child,
    url: String,
    greeting: String,
}

impl Program {
    fn start(extra: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_haithe-devchain"))
            .args(["--listen", "127.0.0.1:0"])
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = Vec::new();
        // The last account is the last line.
        while greeting
            .last()
            .is_none_or(|line: &String| !line.starts_with("  9"))
        {
            greeting.push(lines.next().expect("the greeting goes on").unwrap());
        }
        let url = greeting[0].split_whitespace().last().unwrap().to_owned();
        Self {
            child,
            url,
            greeting: greeting.join("\n"),
        }
    }

    fn provider(&self) -> impl Provider + use<> {
        ProviderBuilder::new().connect_http(self.url.parse().unwrap())
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn ended(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        until("the program ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haithe-devchain"))
        .args(arguments)
        .output()
        .unwrap()
}

#[tokio::test]
async fn it_prints_where_it_is_and_whose_keys_it_knows() {
    let program = Program::start(&["--chain-id", "424242", "--instant"]);
    assert_eq!(program.provider().get_chain_id().await.unwrap(), 424_242);
    for words in [
        "chain id 424242",
        "PUBLIC",
        &account(0).address.to_string(),
        &account(9).key.to_string(),
    ] {
        assert!(program.greeting.contains(words), "{words}: {}", program.greeting);
    }
}

#[tokio::test]
async fn it_ends_cleanly_when_told() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::start(&["--manual"]);
        program.provider().get_block_number().await.unwrap();
        program.signal(signal);
        assert!(program.ended().success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_chain_comes_back_with_all_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("chain");
    let arguments = ["--state", state.to_str().unwrap(), "--instant"];
    let mut nonce = 0;
    for round in 0..5 {
        let program = Program::start(&arguments);
        let provider = program.provider();
        assert_eq!(
            provider.get_transaction_count(account(0).address).await.unwrap(),
            nonce,
            "round {round}"
        );
        assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::from(nonce));
        // A client sends as fast as it can; the chain is killed in the middle of it.
        let acknowledged = Arc::new(AtomicU64::new(nonce));
        let client = tokio::spawn({
            let acknowledged = Arc::clone(&acknowledged);
            async move {
                loop {
                    let raw = sign(0, draft(acknowledged.load(Ordering::SeqCst))).encoded_2718();
                    if provider.send_raw_transaction(&raw).await.is_err() {
                        return;
                    }
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        until("some were acknowledged", || {
            acknowledged.load(Ordering::SeqCst) >= nonce + 5 * (round + 1)
        });
        drop(program);
        client.await.unwrap();
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        nonce = Program::start(&arguments)
            .provider()
            .get_transaction_count(account(0).address)
            .await
            .unwrap();
        assert!(
            nonce == acknowledged || nonce == acknowledged + 1,
            "{nonce} of {acknowledged}"
        );
    }
}

#[test]
fn it_makes_a_block_every_second_by_default() {
    let program = Program::start(&[]);
    assert!(program.greeting.contains("a block every 1s"));
}

#[test]
fn what_cannot_be_is_said() {
    for (arguments, words) in [
        (vec!["--instant", "--manual"], "cannot be used with"),
        (vec!["--block-time", "0s"], "zero is no interval"),
        (vec!["--block-time", "soon"], "such as 500ms"),
        (vec!["--block-time", "5h"], "the unit must be"),
        (vec!["--listen", "nowhere"], "invalid"),
        (vec!["--chain-id", "0"], "chain id 0"),
        (vec!["--state", "/nonexistent/folder/file"], "cannot be used"),
    ] {
        let output = refused(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(words),
            "{arguments:?}: {said}"
        );
    }
}

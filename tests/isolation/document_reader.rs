//! A document that takes its reader over finds nothing to take.

use haithe_tests::program::program;
use serde_json::json;
use std::process::Stdio;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

/// A field of `/proc/<pid>/status`.
#[cfg(target_os = "linux")]
fn status(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap_or_else(|| panic!("{field} is not in {status}"))
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

/// Finding 19: the reader of documents ran with sockets, files and programs at hand. What the filter
/// refuses is tested in the crate `documents`
/// (`a_confined_process_opens_no_socket_no_file_and_no_program`); here it is on before the document comes.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_document_reader_is_confined_before_it_reads_the_document() {
    let mut child = Command::new(program())
        .arg("read-document")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let limits = serde_json::to_value(haithe_marketplace::knowledge::ReadLimits::default()).unwrap();
    let order = json!({"format": haithe_marketplace::knowledge::Format::Text, "limits": limits});
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{order}\n").as_bytes()).await.unwrap();
    input.flush().await.unwrap();
    // The document is not sent yet: the child waits for it.
    haithe_tests::eventually("the filter is installed", async || {
        (status(pid, "Seccomp") == "2").then_some(())
    })
    .await;
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    input.write_all(b"a harmless text").await.unwrap();
    drop(input);
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .await
        .unwrap();
    assert!(said.contains("a harmless text"), "{said}");
    assert!(child.wait().await.unwrap().success());
}

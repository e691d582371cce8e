//! What a developer sees when everything is up.

use serde_json::Value;
use std::{net::SocketAddr, path::Path};

/// Addresses, and commands to try. `then` is what the next run does.
pub fn of(
    [server, metrics, chain]: [SocketAddr; 3],
    seeded: &Value,
    (folder, haithe): (&Path, &Path),
    then: &str,
) -> String {
    let text = |name: &str| seeded.get(name).and_then(Value::as_str).unwrap_or_default();
    let (base_url, key, model) = (text("base_url"), text("api_key"), text("model"));
    format!(
        r#"
Haithe is up.

  server        http://{server}           health: http://{server}/health/ready
  metrics       http://{metrics}/metrics  for Prometheus; docs/OPERATIONS.md explains them
  chain         http://{chain}            keys are public; nothing here is worth anything
  orchestrator  {orchestrator}
  tUSDT         {token}
  organization  {organization}  (holds the money)
  state         {folder}

Ask the sandbox; the answer is charged, and a few seconds later settled on the chain:

  curl {base_url}/chat/completions \
    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

The same as a stream: add "stream": true and curl's -N.
From any OpenAI SDK: base_url = "{base_url}", api_key = the key above.

The answer's header x-haithe-call names its receipt. In another shell:

  . {folder}/haithe.env
  {haithe} ledger check                 # do the books and the chain agree?
  {haithe} receipt audit --org {org}          # do the receipts add up to what was taken?

Ctrl-C stops everything; the next run {then}.
"#,
        orchestrator = text("orchestrator"),
        token = text("token"),
        organization = text("organization_address"),
        folder = folder.display(),
        haithe = haithe.display(),
        org = seeded.get("organization_id").and_then(Value::as_i64).unwrap_or(1),
    )
}

//! The server under measurement: a release binary on one core, with a funded organization.

use crate::load::Target;
use anyhow::{Context, bail};
use bytes::Bytes;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{Setup, Surroundings, Tenant, User},
    client::Client,
    wallets::Wallet,
};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const CHAT: &str = "/api/v1beta/openai/chat/completions";

/// A running server, its surroundings, and a key that may call.
pub struct Stage {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The server's process.
    pub pid: u32,
    /// Resident memory before the first call, in KiB.
    pub idle_kib: u64,
    around: Surroundings,
    key: Arc<str>,
    server: Child,
}

impl Stage {
    /// Starts `binary` on core `core`, over the mock at `upstream`.
    pub async fn set(binary: &Path, core: Option<usize>, upstream: SocketAddr) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut around = Surroundings::prepare(Setup::default()).await;
        let catalogue = around.dir().join("bench-models.toml");
        std::fs::write(&catalogue, models(upstream))?;
        around.set("inference.catalogue", catalogue.display().to_string());
        around.set("server.port", i64::from(address.port()));
        around.set("server.worker_threads", 1);
        around.set("log.filter", "warn");
        // As in production; the fixture's are for impatient tests.
        around.set("chain.poll_milliseconds", 1000);
        around.set("settlement.poll_milliseconds", 60_000);
        around.set("settlement.max_age_seconds", 60);
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", &core.to_string()]).arg(binary);
                pinned
            }
            None => Command::new(binary),
        };
        let server = command
            .arg("serve")
            .envs(around.variables())
            .current_dir(around.dir())
            .stdin(Stdio::null())
            .spawn()
            .context("the server did not start")?;
        let pid = server.id();
        let mut stage = Self {
            address,
            pid,
            idle_kib: 0,
            around,
            key: "".into(),
            server,
        };
        stage.healthy().await?;
        // Idle is what is left when the allocator has given back what starting took.
        tokio::time::sleep(Duration::from_secs(3)).await;
        stage.idle_kib = crate::process::resident_kib(pid)?;
        stage.key = stage.fund().await.into();
        Ok(stage)
    }

    async fn healthy(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.server.try_wait()? {
                bail!("the server stopped while starting ({status})");
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok()
                && client.get("//health").send().await.status == 200
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the server did not become healthy within 30 s")
    }

    /// Asks the server without a credential.
    pub fn client(&self) -> Client {
        Client::new(format!("http://{}/api", self.address))
    }

    async fn fund(&self) -> String {
        let owner = User::log_in(&self.client(), Wallet::number(1)).await;
        let tenant = Tenant::found(&self.around.chain, owner, "bench").await;
        tenant.deposit(&self.around.chain, Usdt::whole(1_000_000)).await;
        tenant.project_key().await
    }

    /// A charged call of the model priced per token.
    pub fn target(&self, streamed: bool) -> Target {
        Target {
            address: self.address,
            path: CHAT,
            key: Some(Arc::clone(&self.key)),
            body: body(streamed),
            streamed,
        }
    }

    /// Stops the server in good order.
    pub fn strike(mut self) -> anyhow::Result<()> {
        // SIGTERM through the shell's builtin: no unsafe code, no further dependency.
        Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()?;
        self.server.wait()?;
        Ok(())
    }
}

/// The same call, straight to the mock.
pub fn direct(upstream: SocketAddr, streamed: bool) -> Target {
    Target {
        address: upstream,
        path: "/v1/chat/completions",
        key: None,
        body: body(streamed),
        streamed,
    }
}

fn body(streamed: bool) -> Bytes {
    let system = "You answer briefly and to the point. ".repeat(20);
    let body = json!({
        "model": "per-token",
        "messages": [
            { "role": "system", "content": system },
            { "role": "user", "content": "What is the capital of France, and why?" },
        ],
        "max_tokens": 100,
        "stream": streamed,
    });
    Bytes::from(body.to_string())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The fixture's usual model numbers, all over the mock.
fn models(upstream: SocketAddr) -> String {
    let mut catalogue = format!(
        "[providers.mock]\nbase_url = \"http://{upstream}/v1\"\n\n[providers.sandbox]\nkind = \"sandbox\"\n"
    );
    for (id, name) in haithe_tests::app::models::USUAL {
        catalogue.push_str(&format!(
            "\n[[models]]\nid = {id}\nname = \"{name}\"\ndisplay_name = \"{name}\"\nprovider = \"mock\"\n\
             price = {{ input = \"0.1\", cached = \"0.05\", output = \"0.4\" }}\ncontext = 100000\nmax_output = 1000\n\
             capabilities = [\"streaming\"]\n"
        ));
    }
    catalogue
}

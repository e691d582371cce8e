//! `haithe dev`: what a developer's first minutes need. Everything goes the public way.

use super::{Outcome, Ran, briefly, http::Service, say};
use clap::{Args, Subcommand};
use haithe_evm::{Node, RpcLimits, ServerKey, TestMoney};
use haithe_identity::MessageSigner;
use haithe_kernel::{Decimals, Usdt, WalletAddress};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{error::Error, path::PathBuf, time::Duration};
use url::Url;

#[derive(Debug, Subcommand)]
pub(super) enum DevCommand {
    /// Give a running development server a demo wallet, organization, project and API key, with
    /// money, and print them as JSON. Run again, it finds what it made before.
    Seed(SeedArgs),
}

#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// The server's API
    #[arg(long, default_value = "http://127.0.0.1:8080/api")]
    base_url: Url,
    /// The demo wallet's key, 64 hex digits
    #[arg(long, env = "DEMO_WALLET_PVT_KEY", hide_env_values = true)]
    wallet_key: SecretString,
    /// The key that may mint test tokens: the one that deployed the contracts
    #[arg(long, env = "DEPLOYER_PVT_KEY", hide_env_values = true)]
    minter_key: SecretString,
    /// How much the organization shall have, in USDT
    #[arg(long, default_value = "1000")]
    deposit: Usdt,
    /// Name of the organization and the project
    #[arg(long, default_value = "demo")]
    name: String,
    /// Where the API key is kept between runs, since it is shown only once
    #[arg(long)]
    state: Option<PathBuf>,
}

/// What was seeded.
#[derive(Debug, Serialize, Deserialize)]
struct Seeded {
    base_url: String,
    api_key: String,
    model: String,
    wallet: String,
    organization_id: i64,
    organization_uid: String,
    organization_address: WalletAddress,
    project_id: i64,
    project_uid: String,
    orchestrator: WalletAddress,
    token: WalletAddress,
    chain_id: u64,
}

type Failed = Box<dyn Error + Send + Sync>;

/// What the server's wallet has for its faucet: two thousand grants.
const FAUCET: Usdt = Usdt::whole(1_000_000);

/// How long a deposit may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(command: DevCommand) -> Ran {
    let DevCommand::Seed(args) = command;
    briefly(async {
        let seeded = Seeding::begin(&args).await?.run().await?;
        let json = serde_json::to_string_pretty(&seeded)?;
        if let Some(path) = &args.state {
            std::fs::write(path, &json)?;
        }
        say(&json);
        Ok(Outcome::Good)
    })?
}

struct Seeding<'a> {
    args: &'a SeedArgs,
    service: Service,
    wallet: WalletAddress,
    chain: ChainFacts,
}

/// Of `GET /v1/config`.
struct ChainFacts {
    id: u64,
    rpc_url: SecretString,
    decimals: Decimals,
    orchestrator: WalletAddress,
    token: WalletAddress,
    faucet: bool,
}

impl<'a> Seeding<'a> {
    /// Logs the demo wallet in.
    async fn begin(args: &'a SeedArgs) -> Result<Self, Failed> {
        let signer = MessageSigner::from_hex(&args.wallet_key)?;
        let wallet = signer.address();
        let mut service = Service::new(args.base_url.clone());
        let chain = ChainFacts::read(&service.data(Method::GET, "/v1/config", None).await?)?;
        let nonce = service
            .data(Method::GET, &format!("/v1/auth/nonce?address={wallet}"), None)
            .await?;
        let signature = signer.sign(text(&nonce, "nonce")?.as_bytes())?;
        let claim = json!({"address": wallet, "signature": format!("0x{}", hex::encode(signature))});
        let login = service.data(Method::POST, "/v1/auth/login", Some(&claim)).await?;
        service.log_in(text(&login, "token")?.to_owned());
        Ok(Self {
            args,
            service,
            wallet,
            chain,
        })
    }

    async fn run(&self) -> Result<Seeded, Failed> {
        let org = self.organization().await?;
        let org_id = number(&org, "id")?;
        let address: WalletAddress = text(&org, "address")?.parse()?;
        self.fund(org_id, address).await?;
        self.fill_faucet().await?;
        let model = self.enable_sandbox(org_id).await?;
        let project = self.project(org_id).await?;
        let project_id = number(&project, "id")?;
        Ok(Seeded {
            base_url: format!(
                "{}/v1beta/openai",
                self.args.base_url.as_str().trim_end_matches('/')
            ),
            api_key: self.api_key(project_id).await?,
            model,
            wallet: self.wallet.to_string(),
            organization_id: org_id,
            organization_uid: text(&org, "organization_uid")?.to_owned(),
            organization_address: address,
            project_id,
            project_uid: text(&project, "project_uid")?.to_owned(),
            orchestrator: self.chain.orchestrator,
            token: self.chain.token,
            chain_id: self.chain.id,
        })
    }

    async fn organization(&self) -> Result<Value, Failed> {
        let own = self.service.data(Method::GET, "/v1/me/orgs", None).await?;
        if let Some(org) = named(&own, &self.args.name) {
            return Ok(org);
        }
        let name = json!({"name": self.args.name});
        self.service.data(Method::POST, "/v1/orgs", Some(&name)).await
    }

    async fn project(&self, org: i64) -> Result<Value, Failed> {
        let projects = self
            .service
            .data(Method::GET, &format!("/v1/orgs/{org}/projects"), None)
            .await?;
        if let Some(project) = named(&projects, &self.args.name) {
            return Ok(project);
        }
        let new = json!({"org_id": org, "name": self.args.name});
        self.service.data(Method::POST, "/v1/projects", Some(&new)).await
    }

    /// Mints and deposits what the organization lacks, and waits until it can be spent.
    async fn fund(&self, org: i64, contract: WalletAddress) -> Result<(), Failed> {
        let available = self.available(org).await?;
        let Some(lacking) = self
            .args
            .deposit
            .checked_sub(available)
            .filter(|lacking| *lacking > Usdt::ZERO)
        else {
            return Ok(());
        };
        let (units, _) = lacking.to_units(self.chain.decimals)?;
        let (minter, money) = self.minter()?;
        money.top_up(minter, units).await?;
        money.transfer(contract, units).await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.available(org).await? < self.args.deposit {
            if tokio::time::Instant::now() > deadline {
                return Err(
                    "the deposit was sent but does not show; is the server following the chain?".into(),
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Gives the server's wallet what its faucet gives away, where it has one.
    async fn fill_faucet(&self) -> Result<(), Failed> {
        if !self.chain.faucet {
            return Ok(());
        }
        let stats = self.service.data(Method::GET, "/v1/stats", None).await?;
        let server = stats.pointer("/server/address").and_then(Value::as_str);
        let server = server.ok_or("the statistics do not name the server's wallet")?;
        let (units, _) = FAUCET.to_units(self.chain.decimals)?;
        let (_, money) = self.minter()?;
        money.top_up(server.parse()?, units).await?;
        Ok(())
    }

    /// The minting key's address, and the token in its hands.
    fn minter(&self) -> Result<(WalletAddress, TestMoney), Failed> {
        let key = ServerKey::parse(&self.args.minter_key)?;
        let minter = key.address();
        let node = Node::http(&self.chain.rpc_url, RpcLimits::default())?;
        Ok((minter, TestMoney::new(node, self.chain.id, self.chain.token, key)))
    }

    async fn available(&self, org: i64) -> Result<Usdt, Failed> {
        let balance = self
            .service
            .data(Method::GET, &format!("/v1/orgs/{org}/balance"), None)
            .await?;
        Ok(text(&balance, "available_usdt")?.parse()?)
    }

    /// Enables every active model of the sandbox and names the first.
    async fn enable_sandbox(&self, org: i64) -> Result<String, Failed> {
        let models = self.service.data(Method::GET, "/v1/models", None).await?;
        let models = models.as_array().ok_or("the models are no list")?;
        let mut first = None;
        for model in models {
            if model.get("provider") == Some(&json!("sandbox"))
                && model.get("is_active") == Some(&json!(true))
            {
                let enable = json!({"model_id": number(model, "id")?});
                self.service
                    .data(Method::POST, &format!("/v1/orgs/{org}/models"), Some(&enable))
                    .await?;
                first = first.or(Some(text(model, "name")?.to_owned()));
            }
        }
        first.ok_or_else(|| "the server offers no sandbox model: turn on inference.sandbox".into())
    }

    /// The key of an earlier run if it still works, else a new one in its place.
    async fn api_key(&self, project: i64) -> Result<String, Failed> {
        if let Some(key) = self.kept_key(project).await? {
            return Ok(key);
        }
        let keys = self.service.data(Method::GET, "/v1/me/api-keys", None).await?;
        for key in keys.as_array().into_iter().flatten() {
            let live = key.get("revoked_at").is_none_or(Value::is_null);
            if live && key.get("name") == Some(&json!(self.args.name)) {
                let path = format!("/v1/me/api-keys/{}", number(key, "id")?);
                self.service.data(Method::DELETE, &path, None).await?;
            }
        }
        let new = json!({"name": self.args.name, "project_id": project});
        let issued = self
            .service
            .data(Method::POST, "/v1/me/api-keys", Some(&new))
            .await?;
        Ok(text(&issued, "api_key")?.to_owned())
    }

    async fn kept_key(&self, project: i64) -> Result<Option<String>, Failed> {
        let kept = self
            .args
            .state
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok());
        let kept = kept.and_then(|json| serde_json::from_str::<Seeded>(&json).ok());
        let Some(kept) = kept.filter(|kept| kept.project_id == project) else {
            return Ok(None);
        };
        let mut caller = Service::new(self.args.base_url.clone());
        caller.log_in(kept.api_key.clone());
        let (status, _) = caller.ask(Method::GET, "/v1beta/openai/models", None).await?;
        Ok((status == StatusCode::OK).then_some(kept.api_key))
    }
}

impl ChainFacts {
    fn read(config: &Value) -> Result<Self, Failed> {
        let contract = |name: &str| -> Result<WalletAddress, Failed> {
            let address = config
                .pointer(&format!("/contracts/{name}/address"))
                .and_then(Value::as_str);
            Ok(address
                .ok_or_else(|| format!("the server does not know the address of {name} yet"))?
                .parse()?)
        };
        Ok(Self {
            id: config
                .get("chain_id")
                .and_then(Value::as_u64)
                .ok_or("the configuration has no chain_id")?,
            rpc_url: SecretString::from(text(config, "rpc_url")?.to_owned()),
            decimals: Decimals::new(u8::try_from(number(config, "token_decimals")?)?)?,
            orchestrator: contract("HaitheOrchestrator")?,
            token: contract("tUSDT")?,
            faucet: config.get("faucet") == Some(&Value::Bool(true)),
        })
    }
}

fn named(list: &Value, name: &str) -> Option<Value> {
    let found = list
        .as_array()?
        .iter()
        .find(|item| item.get("name") == Some(&json!(name)));
    found.cloned()
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, Failed> {
    value
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("the answer has no text `{key}`").into())
}

fn number(value: &Value, key: &str) -> Result<i64, Failed> {
    value
        .get(key)
        .and_then(Value::as_i64)
        .ok_or_else(|| format!("the answer has no number `{key}`").into())
}

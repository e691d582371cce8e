//! Every refusal names its setting.

mod document;

use super::*;
use secrecy::ExposeSecret;

fn complete() -> Sources {
    without("")
}

fn without(missing: &str) -> Sources {
    let variables = [
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("API_KEY_SIGNING_KEY", &"11".repeat(32)),
        ("DATABASE_ENCRYPTION_KEY", &"33".repeat(32)),
        ("ENCLAVE_KEY", &"55".repeat(32)),
        ("SERVER_PVT_KEY", &format!("0x{}", "22".repeat(32))),
        ("BLOCKCHAIN_PROVIDER_URL", "http://127.0.0.1:8545"),
        ("HAITHE__CHAIN__ID", "133717"),
        (
            "HAITHE__CHAIN__ORCHESTRATOR",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        ),
    ];
    Sources {
        environment: variables
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect(),
        ..Sources::default()
    }
}

fn refusal(sources: Sources) -> String {
    Config::load(sources).unwrap_err().to_string()
}

#[test]
fn the_guides_names_and_the_long_names_complete_the_defaults() {
    let config = Config::load(complete()).unwrap();
    assert_eq!(config.server.port, 8080);
    assert_eq!(config.chain.id, 133_717);
    assert_eq!(config.chain.server_key.expose_secret(), "22".repeat(32));
    assert_eq!(config.auth.sites.first.origin, "http://localhost:3000");
}

#[test]
fn enclave_keys_are_none_of_the_other_keys() {
    for (setting, value) in [
        ("enclave.key", toml::Value::from("22".repeat(32))),
        ("enclave.key", toml::Value::from("11".repeat(32))),
        ("enclave.key", toml::Value::from("33".repeat(32))),
        (
            "enclave.former_keys",
            toml::Value::from(vec!["44".repeat(32), "22".repeat(32)]),
        ),
    ] {
        let text = refusal(complete().set(setting, value));
        assert!(
            text.contains("enclave.key") && text.contains("another key"),
            "{text}"
        );
    }
    let short = refusal(complete().set("enclave.former_keys", vec!["5ec2e7".to_owned()]));
    assert!(
        short.contains("enclave.former_keys") && !short.contains("5ec2e7"),
        "{short}"
    );
    let rotated = complete().set("enclave.former_keys", vec!["44".repeat(32)]);
    assert_eq!(Config::load(rotated).unwrap().enclave.former_keys.len(), 1);
    assert!(refusal(without("ENCLAVE_KEY")).contains("ENCLAVE_KEY"));
}

#[test]
fn files_lie_above_defaults_and_the_environment_above_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("default.toml"),
        "[server]\nport = 1\nmax_connections = 5\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("prod.toml"),
        "[server]\nport = 2\nbody_timeout_seconds = 9\n",
    )
    .unwrap();
    let mut sources = complete();
    sources.dir = Some(dir.path().to_owned());
    sources.profile = Some("prod".into());
    let config = Config::load(sources.clone()).unwrap();
    assert_eq!((config.server.port, config.server.max_connections), (2, 5));
    assert_eq!(config.server.body_timeout.as_secs(), 9);
    let config = Config::load(sources.set("server.port", 3)).unwrap();
    assert_eq!(config.server.port, 3);
}

#[test]
fn an_unknown_setting_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prod.toml"), "[server]\nprt = 2\n").unwrap();
    let mut sources = complete();
    sources.dir = Some(dir.path().to_owned());
    sources.profile = Some("prod".into());
    let text = refusal(sources);
    assert!(
        text.contains("`server.prt`") && text.contains("prod.toml"),
        "{text}"
    );
    let mut sources = complete();
    sources.environment = [("HAITHE__SERVER__PRT", "1")].into_iter().collect();
    let text = refusal(sources);
    assert!(text.contains("`server.prt` (from HAITHE__SERVER__PRT)"), "{text}");
}

#[test]
fn the_environment_can_set_lists_and_tables() {
    let mut sources = complete();
    let sites = r#"[{ domain = "a.example", uri = "https://a.example/in", origin = "https://a.example" }]"#;
    let more = [
        ("HAITHE__AUTH__SITES", sites),
        ("HAITHE__SERVER__ALLOWED_ORIGINS", r#"["https://b.example"]"#),
        ("HAITHE__INFERENCE__SANDBOX", "true"),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    sources.environment.extend(more);
    let config = Config::load(sources).unwrap();
    let origins: Vec<_> = config.auth.sites.origins().collect();
    assert_eq!(origins, ["https://a.example"]);
    assert_eq!(config.server.allowed_origins, ["https://b.example"]);
    assert!(config.inference.sandbox);
}

#[test]
fn a_profile_without_its_file_is_refused() {
    let mut sources = complete();
    sources.profile = Some("absent".into());
    assert!(refusal(sources).contains("absent.toml"));
}

#[test]
fn bad_values_are_refused_by_name_with_what_is_allowed() {
    for (path, value, says) in [
        ("server.port", 70_000.into(), "from 0 to 65535"),
        ("database.url", "mysql://x".into(), "unknown scheme `mysql`"),
        ("database.url", "haithe.db".into(), "sqlite://"),
        ("database.url", "sqlite::memory:".into(), "sqlite://"),
        ("database.url", "postgres://localhost".into(), "/database"),
        ("server.host", "everywhere".into(), "an IP address"),
        ("server.body_timeout_seconds", 0.into(), "from 1 to 86400"),
        ("auth.jwt_secret", "short".into(), "32 bytes"),
        ("auth.jwt_secret", 5.into(), "text"),
        ("auth.api_key_signing_key", "0x12".into(), "64 hexadecimal digits"),
        ("auth.api_key_signing_key", "22".repeat(32).into(), "another key"),
        ("database.encryption_key", "33".into(), "64 hexadecimal digits"),
        ("database.encryption_key", "11".repeat(32).into(), "another key"),
        ("database.encryption_key", "22".repeat(32).into(), "another key"),
        ("auth.sites", toml::Value::Array(Vec::new()), "at least one site"),
        ("chain.rpc_url", "ftp://x".into(), "http://"),
        ("chain.id", 0.into(), "from 1"),
        ("chain.orchestrator", "0x".into(), "40 hexadecimal digits"),
        (
            "chain.orchestrator",
            format!("0x{}", "0".repeat(40)).into(),
            "40 hexadecimal digits",
        ),
        ("chain.token_decimals", 19.into(), "from 6 to 18"),
        ("chain.finality", 1.into(), "chain.confirmations"),
        ("settlement.max_amount_usdt", "-1".into(), "decimal number"),
        ("settlement.max_payees", 33.into(), "agent.max_products + 2 (34)"),
        ("settlement.max_payees", 80.into(), "chain.batch_gas"),
        ("chain.batch_gas", 6_999_999.into(), "from 7000000 to 15777216"),
        ("chain.batch_gas", 15_777_217.into(), "from 7000000 to 15777216"),
        ("log.format", "xml".into(), "pretty"),
        ("inference.sandbox", "maybe".into(), "bool"),
        (
            "server.allowed_origins",
            toml::Value::Array(vec!["https://x/y".into()]),
            "without a path",
        ),
        (
            "server.trusted_proxies",
            toml::Value::Array(vec!["10.0.0.0/99".into()]),
            "10.0.0.0/8",
        ),
    ] {
        let text = refusal(complete().set(path, value));
        assert!(
            text.contains(&format!("`{path}")) && text.contains(says),
            "{path}: {text}"
        );
    }
}

#[test]
fn a_postgresql_url_is_shown_without_its_password() {
    let url = "postgres://haithe:tellnobody@db.example:6432/haithe?sslmode=require";
    let config = Config::load(complete().set("database.url", url)).unwrap();
    let DatabaseUrl::Postgres(parsed) = &config.database.url else {
        panic!("{:?}", config.database.url)
    };
    assert_eq!(parsed.expose(), url);
    assert_eq!(
        config.database.url.to_string(),
        "postgres://db.example:6432/haithe"
    );
    assert!(!format!("{:?}", config.database).contains("tellnobody"));
}

#[test]
fn what_is_missing_is_asked_for_by_its_name_in_the_environment() {
    for (missing, path) in [
        ("JWT_SECRET", "auth.jwt_secret"),
        ("API_KEY_SIGNING_KEY", "auth.api_key_signing_key"),
        ("DATABASE_ENCRYPTION_KEY", "database.encryption_key"),
        ("SERVER_PVT_KEY", "chain.server_key"),
        ("BLOCKCHAIN_PROVIDER_URL", "chain.rpc_url"),
        ("HAITHE__CHAIN__ID", "chain.id"),
        ("HAITHE__CHAIN__ORCHESTRATOR", "chain.orchestrator"),
    ] {
        let text = refusal(without(missing));
        assert!(
            text.contains(&format!("`{path}`")) && text.contains(missing),
            "{text}"
        );
    }
}

#[test]
fn neither_the_configuration_nor_an_error_prints_a_secret() {
    let printed = format!("{:?}", Config::load(complete()).unwrap());
    assert!(!printed.contains("0123456789abcdef0123") && !printed.contains(&"11".repeat(32)));
    assert!(!printed.contains(&"33".repeat(32)));
    let text = refusal(complete().set("chain.server_key", "deadbeef-secret"));
    assert!(!text.contains("deadbeef"), "{text}");
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prod.toml"), "[server]\nport = \n").unwrap();
    let mut sources = complete();
    sources.dir = Some(dir.path().to_owned());
    sources.profile = Some("prod".into());
    assert!(refusal(sources).contains("prod.toml, line"));
}

#[test]
fn embeddings_are_off_and_need_a_provider_and_a_model() {
    let off = Config::load(complete()).unwrap().embeddings;
    assert!(off.provider.is_empty() && off.model.is_empty());
    let provider = ("embeddings.provider", "embeddings.model");
    for (set, missing) in [provider, (provider.1, provider.0)] {
        let refusal = refusal(complete().set(set, "x"));
        assert!(refusal.contains(missing), "{refusal}");
    }
    let both = complete()
        .set("embeddings.provider", "x")
        .set("embeddings.model", "y");
    assert!(Config::load(both).is_ok());
}

#[test]
fn the_faucet_is_off_and_opens_on_development_chains_only() {
    assert!(!Config::load(complete()).unwrap().chain.faucet);
    for (id, open) in [("133717", true), ("31337", true), ("1", false), ("8217", false)] {
        let mut sources = complete();
        sources.environment.extend([
            ("HAITHE__CHAIN__ID".to_owned(), id.to_owned()),
            ("HAITHE__CHAIN__FAUCET".to_owned(), "true".to_owned()),
        ]);
        let loaded = Config::load(sources);
        assert_eq!(loaded.is_ok(), open, "{id}");
        if let Err(refusal) = loaded {
            assert!(refusal.to_string().contains("chain.faucet"), "{refusal}");
        }
    }
}

//! The catalogue: the shipped file is sound, and every mistake is named.

use super::*;

const SHIPPED: &str = include_str!("../../../../config/models.toml");

fn read(text: &str) -> Result<Catalogue, String> {
    let file: CatalogueFile = toml::from_str(text).map_err(|error| error.to_string())?;
    Catalogue::new(file).map_err(|error| error.to_string())
}

const PROVIDER: &str = "[providers.p]\nbase_url = \"https://p.example/v1/\"\n";

fn entry(id: i64, name: &str, more: &str) -> String {
    format!(
        "[[models]]\nid = {id}\nname = {name:?}\ndisplay_name = \"M\"\nprovider = \"p\"\nprice = {{}}\ncontext = 10\nmax_output = 5\n{more}\n"
    )
}

#[test]
fn the_shipped_catalogue_has_every_model_of_the_guide() {
    let catalogue = read(SHIPPED).unwrap();
    for name in [
        "gemini-2.0-flash",
        "gemini-2.0-flash-lite",
        "gemini-2.5-pro",
        "gemini-2.5-flash",
        "gemini-2.5-flash-lite",
        "gpt-4o",
        "gpt-4",
        "gpt-3.5-turbo",
        "deepseek-chat",
        "deepseek-reasoner",
        "kimi-k2",
        "gpt-oss-20b",
        "gpt-oss-120b",
        "haithe-sandbox",
    ] {
        let model = catalogue.by_name(name).unwrap();
        assert_eq!(catalogue.by_id(model.id).unwrap().name, name);
        assert_eq!(model.active, model.provider != "sandbox", "{name}");
    }
    let flash = catalogue.by_name("gemini-2.0-flash").unwrap();
    assert_eq!(flash.id, ModelId(1));
    assert_eq!(flash.price.input, PerMillion(100_000_000));
    let pro = catalogue.by_name("gpt-4").unwrap();
    assert_eq!(
        pro.price.cached, pro.price.input,
        "without a cached price, cached input costs the same"
    );
}

#[test]
fn a_route_is_the_model_and_then_its_active_fallbacks() {
    let text = [
        PROVIDER.to_owned(),
        entry(1, "a", "fallbacks = [\"b\", \"c\", \"b\"]"),
        entry(2, "b", "active = false"),
        entry(3, "c", ""),
    ]
    .concat();
    let catalogue = read(&text).unwrap();
    let route = catalogue.route(catalogue.by_name("a").unwrap());
    let names: Vec<_> = route.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn models_of_an_inactive_provider_are_inactive() {
    let catalogue = read(&format!("{PROVIDER}active = false\n{}", entry(1, "a", ""))).unwrap();
    assert!(!catalogue.by_name("a").unwrap().active);
}

#[test]
fn addresses_lose_their_trailing_slash() {
    let catalogue = read(PROVIDER).unwrap();
    let urls: Vec<_> = catalogue
        .providers()
        .map(|provider| provider.base_url.clone())
        .collect();
    assert_eq!(urls, ["https://p.example/v1"]);
}

#[test]
fn every_mistake_names_the_entry_and_the_setting() {
    let model = |more: &str| format!("{PROVIDER}{}", entry(1, "a", more));
    let replaced = |from: &str, to: &str| model("").replace(from, to);
    for (text, parts) in [
        (
            replaced("provider = \"p\"", "provider = \"q\""),
            vec!["model \"a\"", "\"q\""],
        ),
        (
            format!("{}{}", model(""), entry(1, "b", "")),
            vec!["model \"b\"", "id 1"],
        ),
        (
            format!("{}{}", model(""), entry(2, "a", "")),
            vec!["model \"a\"", "another name or alias"],
        ),
        (replaced("id = 1", "id = 0"), vec!["model \"a\"", "id"]),
        (
            replaced("name = \"a\"", "name = \"a b\""),
            vec!["model \"a b\"", "name"],
        ),
        (
            replaced("max_output = 5", "max_output = 11"),
            vec!["model \"a\"", "max_output"],
        ),
        (
            replaced("context = 10", "context = 0"),
            vec!["model \"a\"", "context"],
        ),
        (
            replaced("price = {}", "price = { input = \"0.0000000001\" }"),
            vec!["model \"a\"", "price.input"],
        ),
        (
            replaced("price = {}", "price = { input = \"-1\" }"),
            vec!["model \"a\"", "price.input"],
        ),
        (
            replaced("price = {}", "price = { per_call = \"1001\" }"),
            vec!["model \"a\"", "price.per_call"],
        ),
        (replaced("price = {}", "price = { input = 0.1 }"), vec!["string"]),
        (replaced("price = {}", "price = { inptu = \"1\" }"), vec!["inptu"]),
        (model("fallbacks = [\"z\"]"), vec!["model \"a\"", "\"z\""]),
        (
            model("fallbacks = [\"a\"]"),
            vec!["model \"a\"", "back to itself"],
        ),
        (
            format!(
                "{}{}",
                model("fallbacks = [\"b\"]"),
                entry(2, "b", "fallbacks = [\"a\"]")
            ),
            vec!["model \"a\"", "back to itself"],
        ),
        (
            PROVIDER.replace("https", "ftp"),
            vec!["provider \"p\"", "base_url"],
        ),
        (
            format!("{PROVIDER}idle_timeout_ms = 0\n"),
            vec!["provider \"p\"", "idle_timeout_ms"],
        ),
        (
            format!("{PROVIDER}api_key_env = \"\"\n"),
            vec!["provider \"p\"", "api_key_env"],
        ),
        (format!("{PROVIDER}tries = 3\n"), vec!["tries"]),
    ] {
        let error = read(&text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn a_model_is_found_by_its_aliases_and_no_two_models_share_a_name() {
    let shared = |first: &str, second: &str| {
        read(&[PROVIDER.to_owned(), entry(1, "a", first), entry(2, "b", second)].concat())
    };
    let catalogue = shared("aliases = [\"x\", \"y\"]", "").unwrap();
    for name in ["a", "x", "y"] {
        assert_eq!(catalogue.by_name(name).unwrap().name, "a");
    }
    for (first, second) in [
        ("aliases = [\"b\"]", ""),
        ("", "aliases = [\"a\"]"),
        ("aliases = [\"x\"]", "aliases = [\"x\"]"),
        ("aliases = [\"x\", \"x\"]", ""),
    ] {
        let refused = shared(first, second).unwrap_err();
        assert!(refused.contains("another name or alias"), "{refused}");
    }
    assert!(
        shared("aliases = [\"a b\"]", "")
            .unwrap_err()
            .contains("an alias")
    );
}

#[test]
fn a_provider_block_says_how_patient_to_be_and_has_defaults() {
    let catalogue = read(PROVIDER).unwrap();
    let settings = catalogue.provider("p").unwrap();
    assert_eq!(settings.retry, RetryPolicy::default());
    assert_eq!(settings.circuit, CircuitPolicy::default());
    let text = format!("{PROVIDER}retries = 0\ncircuit_faults = 0\nretry_within_ms = 1\n");
    assert_eq!(read(&text).unwrap().provider("p").unwrap().retry.retries, 0);
    for (setting, named) in [
        ("retries = 11", "retries"),
        ("circuit_pause_ms = 0", "circuit_pause_ms"),
    ] {
        let refused = read(&format!("{PROVIDER}{setting}\n")).unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
}

#[test]
fn a_tokenizer_is_known_by_the_family_and_unknown_otherwise() {
    for (name, known) in [
        ("gpt-4o", true),
        ("openai/gpt-4o-mini", true),
        ("gpt-4.1-nano", true),
        ("openai/gpt-oss-120b", true),
        ("o3-mini", true),
        ("o1", true),
        ("gpt-4", false),
        ("gpt-4-turbo", false),
        ("gpt-4omni", false),
        ("o10", false),
        ("kimi-k2", false),
        ("gemini-2.5-pro", false),
        ("text-embedding-3-small", false),
    ] {
        let tokenizer = if known { Tokenizer::O200k } else { Tokenizer::Bytes };
        assert_eq!(Tokenizer::of_family(name), tokenizer, "{name}");
    }
}

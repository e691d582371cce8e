//! From the shipped catalogue and an environment to providers.

use super::*;
use haithe_kernel::{FixedClock, Timestamp};

fn shipped() -> CatalogueFile {
    toml::from_str(include_str!("../../../../config/models.toml")).unwrap()
}

fn providers(file: CatalogueFile, keys: &Keys) -> Result<Vec<String>, String> {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(Timestamp::from_seconds(0)));
    let catalogue = Catalogue::new(file).unwrap();
    let providers = Providers::from_catalogue(&catalogue, keys, &clock).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = providers.into_models().into_keys().collect();
    names.sort();
    Ok(names)
}

#[test]
fn providers_without_a_key_are_taken_out_with_their_models() {
    let mut file = shipped();
    let keys = Keys::read(&file, |name| match name {
        "DEEPSEEK_API_KEY" => Some("sk-secret".to_owned()),
        "OPENAI_API_KEY" => Some("  ".to_owned()),
        _ => None,
    });
    assert_eq!(format!("{keys:?}"), "{\"DEEPSEEK_API_KEY\"}");
    assert_eq!(
        keys.deactivate_keyless(&mut file),
        ["google", "haithe", "moonshot", "openai"]
    );
    let catalogue = Catalogue::new(file.clone()).unwrap();
    let active = catalogue.models().iter().filter(|model| model.active);
    let active: Vec<_> = active.map(|model| model.name.as_str()).collect();
    assert_eq!(active, ["deepseek-chat", "deepseek-reasoner"]);
    assert_eq!(providers(file, &keys).unwrap(), ["deepseek"]);
}

#[test]
fn the_sandbox_needs_no_key_and_is_there_only_when_configured() {
    let mut file = shipped();
    let keys = Keys::default();
    keys.deactivate_keyless(&mut file);
    assert_eq!(providers(file.clone(), &keys).unwrap(), Vec::<String>::new());
    file.providers.get_mut("sandbox").unwrap().active = true;
    assert_eq!(providers(file, &keys).unwrap(), ["sandbox"]);
}

#[test]
fn a_provider_that_cannot_be_set_up_is_named() {
    let text = "[providers.odd]\nbase_url = \"http://[/v1\"\n";
    let error = providers(toml::from_str(text).unwrap(), &Keys::default()).unwrap_err();
    assert!(error.contains("\"odd\"") && error.contains("base_url"), "{error}");
}

//! What a catalogue must fulfil before the server starts with it.

use super::{
    Capabilities, Model, OutputField, PerMillion, Price, ProviderKind, ProviderSettings, Timeouts, Tokenizer,
    file::{
        CapabilityEntry, CatalogueFile, FieldEntry, KindEntry, ModelEntry, PriceEntry, ProviderEntry,
        TokenizerEntry,
    },
};
use crate::routing::{CircuitPolicy, RetryPolicy};
use haithe_kernel::{ModelId, Usdt};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// Why a catalogue is refused. The text names the entry and the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model catalogue is refused: {entry}: {problem}")]
pub struct CatalogueError {
    /// `model "x"` or `provider "y"`.
    entry: String,
    /// What is wrong and what would be right.
    problem: String,
}

/// Above this a price is a typing error: a thousand USDT per call.
const MOST_PER_CALL: Usdt = Usdt::whole(1_000);
/// Above this a price is a typing error: ten thousand USDT per million tokens.
const MOST_PER_MILLION: Usdt = Usdt::whole(10_000);
/// No model reads or writes more tokens than this.
const MOST_TOKENS: u32 = 100_000_000;
/// A name is at most this long.
const LONGEST_NAME: usize = 128;
/// A day, in milliseconds: no time limit is longer.
const LONGEST_WAIT_MS: u64 = 86_400_000;
/// More tries than this only make an outage worse.
const MOST_RETRIES: u32 = 10;

type Checked = (Vec<Model>, BTreeMap<String, ProviderSettings>);

/// Checks every entry and what entries say about each other.
pub(super) fn check(file: CatalogueFile) -> Result<Checked, CatalogueError> {
    let mut providers = BTreeMap::new();
    let mut fields = HashMap::new();
    for (name, entry) in file.providers {
        let field = entry.output_field;
        let settings = provider(&name, entry).map_err(named(format!("provider {name:?}")))?;
        fields.insert(name.clone(), field);
        providers.insert(name, settings);
    }
    let mut models = Vec::with_capacity(file.models.len());
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    for entry in file.models {
        let name = entry.name.clone();
        let at = || format!("model {name:?}");
        if !ids.insert(entry.id) {
            return Err(named(at())(format!("another model has the id {} too", entry.id)));
        }
        for taken in std::iter::once(&entry.name).chain(&entry.aliases) {
            if !names.insert(taken.clone()) {
                return Err(named(at())(format!("another name or alias is {taken:?} too")));
            }
        }
        let Some(settings) = providers.get(&entry.provider) else {
            return Err(named(at())(format!(
                "its provider {:?} is not in [providers]",
                entry.provider
            )));
        };
        let field = fields.get(&entry.provider).copied().unwrap_or_default();
        models.push(model(entry, settings, field).map_err(named(at()))?);
    }
    check_fallbacks(&models)?;
    bound_by_fallbacks(&mut models);
    models.sort_by_key(|model| model.id);
    Ok((models, providers))
}

fn named(entry: String) -> impl FnOnce(String) -> CatalogueError {
    move |problem| CatalogueError { entry, problem }
}

fn provider(name: &str, entry: ProviderEntry) -> Result<ProviderSettings, String> {
    plain_name("its key", name)?;
    let base_url = entry.base_url.trim_end_matches('/').to_owned();
    let kind = match entry.kind {
        KindEntry::Sandbox => ProviderKind::Sandbox,
        KindEntry::OpenAi => {
            let host = base_url
                .strip_prefix("https://")
                .or_else(|| base_url.strip_prefix("http://"));
            if host.is_none_or(str::is_empty) {
                return Err("base_url must begin with https:// or http:// and name a host".to_owned());
            }
            ProviderKind::OpenAi
        }
    };
    if entry.api_key_env.as_deref().is_some_and(str::is_empty) {
        return Err("api_key_env must name an environment variable, or be absent".to_owned());
    }
    let wait = |setting: &str, millis: u64| {
        if (1..=LONGEST_WAIT_MS).contains(&millis) {
            Ok(Duration::from_millis(millis))
        } else {
            Err(format!("{setting} must be 1 to {LONGEST_WAIT_MS}"))
        }
    };
    if entry.retries > MOST_RETRIES {
        return Err(format!("retries must be 0 to {MOST_RETRIES}"));
    }
    Ok(ProviderSettings {
        name: name.to_owned(),
        kind,
        base_url,
        api_key_env: entry.api_key_env,
        active: entry.active,
        timeouts: Timeouts {
            connect: wait("connect_timeout_ms", entry.connect_timeout_ms)?,
            first_byte: wait("first_byte_timeout_ms", entry.first_byte_timeout_ms)?,
            idle: wait("idle_timeout_ms", entry.idle_timeout_ms)?,
            answer: wait("answer_timeout_ms", entry.answer_timeout_ms)?,
        },
        retry: RetryPolicy {
            retries: entry.retries,
            delay: wait("retry_delay_ms", entry.retry_delay_ms)?,
            within: wait("retry_within_ms", entry.retry_within_ms)?,
        },
        circuit: CircuitPolicy {
            faults: entry.circuit_faults,
            pause: wait("circuit_pause_ms", entry.circuit_pause_ms)?,
        },
    })
}

fn model(entry: ModelEntry, provider: &ProviderSettings, field: FieldEntry) -> Result<Model, String> {
    if entry.id < 1 {
        return Err("id must be 1 or more".to_owned());
    }
    plain_name("name", &entry.name)?;
    let upstream_name = entry.upstream_name.unwrap_or_else(|| entry.name.clone());
    plain_name("upstream_name", &upstream_name)?;
    for alias in &entry.aliases {
        plain_name("an alias", alias)?;
    }
    if entry.display_name.trim().is_empty() || entry.display_name.chars().any(char::is_control) {
        return Err("display_name must be printable text".to_owned());
    }
    tokens("context", entry.context)?;
    tokens("max_output", entry.max_output)?;
    if entry.max_output > entry.context {
        return Err("max_output must not exceed context".to_owned());
    }
    if entry.prompt_overhead > entry.context {
        return Err("prompt_overhead must not exceed context".to_owned());
    }
    let can = |capability| entry.capabilities.contains(&capability);
    Ok(Model {
        id: ModelId(entry.id),
        active: entry.active && provider.active,
        price: price(&entry.price)?,
        context: entry.context,
        max_output: entry.max_output,
        prompt_overhead: entry.prompt_overhead,
        tokenizer: match entry.tokenizer {
            Some(TokenizerEntry::O200k) => Tokenizer::O200k,
            Some(TokenizerEntry::Bytes) => Tokenizer::Bytes,
            None => Tokenizer::of_family(&upstream_name),
        },
        image_tokens: entry.image_tokens,
        output_field: match field {
            FieldEntry::MaxTokens => OutputField::MaxTokens,
            FieldEntry::MaxCompletionTokens => OutputField::MaxCompletionTokens,
        },
        capabilities: Capabilities {
            streaming: can(CapabilityEntry::Streaming),
            tools: can(CapabilityEntry::Tools),
            vision: can(CapabilityEntry::Vision),
            reasoning: can(CapabilityEntry::Reasoning),
            embeddings: can(CapabilityEntry::Embeddings),
        },
        name: entry.name,
        aliases: entry.aliases,
        display_name: entry.display_name,
        provider: entry.provider,
        upstream_name,
        fallbacks: entry.fallbacks,
    })
}

fn price(entry: &PriceEntry) -> Result<Price, String> {
    let amount = |setting: &str, text: Option<&str>, most: Usdt| -> Result<Usdt, String> {
        let Some(text) = text else { return Ok(Usdt::ZERO) };
        let amount: Usdt = text
            .parse()
            .map_err(|error| format!("price.{setting} {text:?}: {error}"))?;
        if amount.is_negative() || amount > most {
            return Err(format!("price.{setting} {text:?} must be from 0 to {most} USDT"));
        }
        Ok(amount)
    };
    let per_million = |setting: &str, text: Option<&str>| {
        let amount = amount(setting, text, MOST_PER_MILLION)?;
        Ok::<_, String>(PerMillion(u64::try_from(amount.nano()).unwrap_or(0)))
    };
    Ok(Price {
        per_call: amount("per_call", entry.per_call.as_deref(), MOST_PER_CALL)?,
        input: per_million("input", entry.input.as_deref())?,
        cached: per_million("cached", entry.cached.as_deref().or(entry.input.as_deref()))?,
        output: per_million("output", entry.output.as_deref())?,
        reasoning: per_million(
            "reasoning",
            entry.reasoning.as_deref().or(entry.output.as_deref()),
        )?,
    })
}

/// Names travel in URLs, headers and JSON, so they need no escaping anywhere.
fn plain_name(setting: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(format!(
            "{setting} must be 1 to {LONGEST_NAME} letters, digits or any of - _ . : / @"
        ));
    }
    Ok(())
}

fn tokens(setting: &str, count: u32) -> Result<(), String> {
    if (1..=MOST_TOKENS).contains(&count) {
        Ok(())
    } else {
        Err(format!("{setting} must be 1 to {MOST_TOKENS} tokens"))
    }
}

/// A fallback answers at the price of the model that was asked for, so a count must hold for both.
fn bound_by_fallbacks(models: &mut [Model]) {
    let known: HashMap<String, Tokenizer> = models
        .iter()
        .map(|model| (model.name.clone(), model.tokenizer))
        .collect();
    for model in models {
        let same = |name: &String| known.get(name) == Some(&model.tokenizer);
        if !model.fallbacks.iter().all(same) {
            model.tokenizer = Tokenizer::Bytes;
        }
    }
}

/// Every fallback exists, and following fallbacks never comes back to where it began.
fn check_fallbacks(models: &[Model]) -> Result<(), CatalogueError> {
    let by_name: HashMap<&str, &Model> = models.iter().map(|model| (model.name.as_str(), model)).collect();
    for start in models {
        let at = || format!("model {:?}", start.name);
        let mut waiting: Vec<&str> = start.fallbacks.iter().map(String::as_str).collect();
        let mut seen = HashSet::new();
        while let Some(name) = waiting.pop() {
            if name == start.name {
                return Err(named(at())("its fallbacks lead back to itself".to_owned()));
            }
            let Some(next) = by_name.get(name) else {
                return Err(named(at())(format!("its fallback {name:?} does not exist")));
            };
            if next.capabilities.embeddings != start.capabilities.embeddings {
                let problem = format!("its fallback {name:?} does not do the same: one makes embeddings");
                return Err(named(at())(problem));
            }
            if seen.insert(name) {
                waiting.extend(next.fallbacks.iter().map(String::as_str));
            }
        }
    }
    Ok(())
}

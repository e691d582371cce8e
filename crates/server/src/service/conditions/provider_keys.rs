//! Which provider's credentials are rejected, as calls find it. No provider is asked for this.

use super::{Condition, Conditions};
use haithe_inference::{Catalogue, ports::AskOutcome};
use std::{collections::HashMap, sync::Arc};

/// Raises and clears [`Condition::ProviderCredentialsRejected`] by the outcomes of calls.
#[derive(Debug)]
pub struct ProviderKeys {
    conditions: Arc<Conditions>,
    /// The environment variable that holds a provider's key, by the provider's name.
    variables: HashMap<String, String>,
}

impl ProviderKeys {
    /// For the providers of this catalogue.
    pub fn new(conditions: Arc<Conditions>, catalogue: &Catalogue) -> Self {
        let variables = catalogue
            .providers()
            .filter_map(|provider| Some((provider.name.clone(), provider.api_key_env.clone()?)));
        Self {
            conditions,
            variables: variables.collect(),
        }
    }

    /// An attempt at a provider ended. A rate limit, a failure or a timeout decides nothing: it can come before the
    /// credentials are checked.
    pub fn attempted(&self, provider: &str, outcome: AskOutcome) {
        match outcome {
            AskOutcome::Credentials => {
                let variable = self.variables.get(provider).map(String::as_str);
                self.conditions.raise(
                    Condition::ProviderCredentialsRejected,
                    provider,
                    rejected(provider, variable),
                );
            }
            AskOutcome::Answered | AskOutcome::Refused => {
                self.conditions
                    .clear(Condition::ProviderCredentialsRejected, provider);
            }
            AskOutcome::RateLimited
            | AskOutcome::Failed
            | AskOutcome::TimedOut
            | AskOutcome::Busy
            | AskOutcome::Resting => {}
        }
    }
}

fn rejected(provider: &str, variable: Option<&str>) -> String {
    match variable {
        Some(variable) => {
            format!("the provider {provider:?} rejects the key in the environment variable {variable}")
        }
        None => format!(
            "the provider {provider:?} rejects requests without a key: set its `api_key_env` in the catalogue"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{FixedClock, Timestamp};

    fn keys() -> (Arc<Conditions>, ProviderKeys) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let conditions = Arc::new(Conditions::new(clock));
        let keys = ProviderKeys {
            conditions: conditions.clone(),
            variables: HashMap::from([("openai".to_owned(), "OPENAI_API_KEY".to_owned())]),
        };
        (conditions, keys)
    }

    #[test]
    fn rejected_credentials_name_their_variable_until_the_provider_answers() {
        let (conditions, keys) = keys();
        keys.attempted("openai", AskOutcome::Credentials);
        keys.attempted("keyless", AskOutcome::Credentials);
        let [keyless, openai] = conditions.active().try_into().unwrap();
        assert_eq!(openai.subject, "openai");
        assert!(openai.message.contains("OPENAI_API_KEY"), "{}", openai.message);
        assert!(keyless.message.contains("api_key_env"), "{}", keyless.message);
        for outcome in [AskOutcome::RateLimited, AskOutcome::Failed, AskOutcome::TimedOut] {
            keys.attempted("openai", outcome);
            assert_eq!(conditions.active().len(), 2, "{outcome:?} decides nothing");
        }
        keys.attempted("openai", AskOutcome::Answered);
        keys.attempted("keyless", AskOutcome::Refused);
        assert!(conditions.active().is_empty());
    }
}

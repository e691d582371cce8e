//! Bots of a project: the tokens with which they log in at Telegram and Discord.

use crate::{
    audit::Caller,
    error::OrgError,
    model::{Organization, Project},
    policy::Action,
    ports::BotStore,
    projects::{ProjectAccess, Projects},
};
use haithe_kernel::{Clock, ProjectId, WalletAddress};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, sync::Arc};

/// Where a bot talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BotPlatform {
    /// Telegram.
    Telegram,
    /// Discord.
    Discord,
}

impl BotPlatform {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Telegram, Self::Discord];

    /// The word in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Discord => "discord",
        }
    }
}

impl fmt::Display for BotPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// For which platforms a project has a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BotTokens {
    pub telegram: bool,
    pub discord: bool,
}

impl BotTokens {
    /// Is there one for this platform?
    pub const fn has(self, platform: BotPlatform) -> bool {
        match platform {
            BotPlatform::Telegram => self.telegram,
            BotPlatform::Discord => self.discord,
        }
    }
}

/// A platform's token for a bot. Does not print.
#[derive(Debug, Clone)]
pub struct BotToken {
    platform: BotPlatform,
    token: SecretString,
}

/// Not of the platform's form. The text does not repeat what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BotTokenError {
    /// Telegram's form (core.telegram.org/bots/api, "Authorizing your bot").
    #[error(
        "must be the bot's token as @BotFather shows it: the bot's number, a colon and {TELEGRAM_SECRET} letters, digits, `-` or `_`"
    )]
    Telegram,
    /// Discord's form (discord.com/developers/docs/reference, "Authentication").
    #[error(
        "must be the bot's token as Discord's developer portal shows it under Bot: three parts of letters, digits, `-` or `_`, joined by dots, without the word `Bot`"
    )]
    Discord,
}

/// Characters of a Telegram token behind its colon.
const TELEGRAM_SECRET: usize = 35;
/// Most digits of a bot's number: it is a 64-bit integer.
const TELEGRAM_NUMBER: usize = 19;
/// Fewest and most characters of each part of a Discord token: the bot's number, when the token was
/// made, and the secret, each in base64url. Wider than what Discord makes today.
const DISCORD_PARTS: [(usize, usize); 3] = [(16, 40), (5, 12), (24, 80)];

fn is_base64url(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_telegram(token: &str) -> bool {
    token.split_once(':').is_some_and(|(number, secret)| {
        (1..=TELEGRAM_NUMBER).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && secret.len() == TELEGRAM_SECRET
            && is_base64url(secret)
    })
}

fn is_discord(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    parts.len() == DISCORD_PARTS.len()
        && parts
            .iter()
            .zip(DISCORD_PARTS)
            .all(|(part, (least, most))| (least..=most).contains(&part.len()) && is_base64url(part))
}

impl BotToken {
    /// Reads a token as its platform writes it.
    ///
    /// # Errors
    /// [`BotTokenError`], which says what the platform's form is.
    pub fn parse(platform: BotPlatform, token: SecretString) -> Result<Self, BotTokenError> {
        let (good, refusal) = match platform {
            BotPlatform::Telegram => (is_telegram(token.expose_secret()), BotTokenError::Telegram),
            BotPlatform::Discord => (is_discord(token.expose_secret()), BotTokenError::Discord),
        };
        if good {
            Ok(Self { platform, token })
        } else {
            Err(refusal)
        }
    }

    /// Where it is good.
    pub const fn platform(&self) -> BotPlatform {
        self.platform
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.token.expose_secret()
    }
}

/// A project's bot as its managers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// Has it a token?
    pub configured: bool,
    /// Whom it speaks for.
    pub project: Project,
    /// Who pays for what it says.
    pub org: Organization,
}

/// Use case: configuring a project's bots.
pub struct Bots {
    projects: Arc<Projects>,
    store: Arc<dyn BotStore>,
    clock: Arc<dyn Clock>,
}

impl Bots {
    /// Composes the use case.
    pub fn new(projects: Arc<Projects>, store: Arc<dyn BotStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            projects,
            store,
            clock,
        }
    }

    /// What there is on one platform; for whoever may configure the project.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn show(
        &self,
        caller: WalletAddress,
        project: ProjectId,
        platform: BotPlatform,
    ) -> Result<Bot, OrgError> {
        let ProjectAccess { project, org, .. } = self
            .projects
            .authorize(caller, project, Action::ConfigureProject)
            .await?;
        Ok(Bot {
            configured: project.bots.has(platform),
            project,
            org,
        })
    }

    /// Puts a token in the place of the one before, or, without one, takes that away. The caller's
    /// right to configure the project is looked at before the token is.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::BotToken`].
    pub async fn put(
        &self,
        caller: impl Into<Caller>,
        project: ProjectId,
        platform: BotPlatform,
        token: Option<SecretString>,
    ) -> Result<(), OrgError> {
        let caller = caller.into();
        self.projects
            .authorize(caller.address, project, Action::ConfigureProject)
            .await?;
        let act = caller.acts(self.clock.now());
        let found = match token {
            Some(token) => {
                let token = BotToken::parse(platform, token)?;
                self.store.put(project, token, act).await?
            }
            None => self.store.remove(project, platform, act).await?,
        };
        found.then_some(()).ok_or(OrgError::NotFound("project"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(platform: BotPlatform, token: &str) -> Result<BotToken, BotTokenError> {
        BotToken::parse(platform, SecretString::from(token.to_owned()))
    }

    const TELEGRAM: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1";
    const DISCORD: &str = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs-abc_12345";

    #[test]
    fn tokens_in_each_platform_s_form_are_taken_as_they_are() {
        assert_eq!(parse(BotPlatform::Telegram, TELEGRAM).unwrap().expose(), TELEGRAM);
        assert_eq!(parse(BotPlatform::Discord, DISCORD).unwrap().expose(), DISCORD);
    }

    #[test]
    fn what_has_another_form_is_refused_and_not_repeated() {
        for (platform, wrong) in [
            (BotPlatform::Telegram, String::new()),
            (BotPlatform::Telegram, DISCORD.to_owned()),
            (BotPlatform::Telegram, TELEGRAM.replace(':', "")),
            (BotPlatform::Telegram, format!("{TELEGRAM}x")),
            (BotPlatform::Telegram, format!(" {TELEGRAM}")),
            (BotPlatform::Telegram, format!("bot{TELEGRAM}")),
            (BotPlatform::Telegram, TELEGRAM.replace("AAH", "AA/")),
            (BotPlatform::Telegram, TELEGRAM.replace("110201543", "")),
            (BotPlatform::Telegram, TELEGRAM.replace("AAH", "AÄ")),
            (BotPlatform::Discord, String::new()),
            (BotPlatform::Discord, TELEGRAM.to_owned()),
            (BotPlatform::Discord, format!("Bot {DISCORD}")),
            (BotPlatform::Discord, format!("{DISCORD}.abcdef")),
            (BotPlatform::Discord, DISCORD.replacen('.', "", 1)),
            (BotPlatform::Discord, DISCORD.replace("Cl2FMQ", "")),
            (BotPlatform::Discord, DISCORD.replace("Cl2FMQ", "Cl2+MQ")),
            (BotPlatform::Discord, format!("{DISCORD}\n")),
            (BotPlatform::Discord, "..".to_owned()),
        ] {
            let refused = parse(platform, &wrong).expect_err(&wrong);
            assert!(
                wrong.len() < 3 || !refused.to_string().contains(&wrong),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let printed = format!("{:?}", parse(BotPlatform::Telegram, TELEGRAM).unwrap());
        assert!(
            !printed.contains("AAHdq") && !printed.contains("110201543"),
            "{printed}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_token_is_good_on_both(text in "\\PC{0,90}") {
            let telegram = parse(BotPlatform::Telegram, &text).is_ok();
            let discord = parse(BotPlatform::Discord, &text).is_ok();
            prop_assert!(!(telegram && discord));
        }

        #[test]
        fn every_token_of_telegram_s_form_is_taken(token in "[0-9]{1,19}:[A-Za-z0-9_-]{35}") {
            prop_assert!(parse(BotPlatform::Telegram, &token).is_ok());
        }
    }
}

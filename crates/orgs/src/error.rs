//! What can be wrong with a request about organizations and projects.

use crate::{accepted::MOST_ACCEPTED, bots::BotTokenError, organizations::NAME_CHARS, ports::DeployError};
use haithe_kernel::{Failure, Kind, NameProblem, StoreError};

/// A rule about organizations, projects or members that was broken.
#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    /// Missing, or none of the caller's business: both answer alike.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The caller may see it and may not do this.
    #[error("your role does not allow this")]
    Forbidden,
    /// A name that cannot be shown.
    #[error("a name has 1 to {NAME_CHARS} characters and no control characters")]
    Name,
    /// A name that looks like another one.
    #[error("the name {0}")]
    DeceptiveName(NameProblem),
    /// Another project of the organization has this name.
    #[error("the organization already has a project of this name; choose another name")]
    ProjectNameTaken,
    /// A setting outside its range.
    #[error("{0}")]
    Setting(&'static str),
    /// A bot's token that has not its platform's form.
    #[error("the token {0}")]
    BotToken(#[from] BotTokenError),
    /// A change without content.
    #[error("nothing to change: give at least one of the fields")]
    NothingToChange,
    /// The owner's place is decided on chain.
    #[error("the owner cannot be added, changed or removed as a member; ownership changes on chain")]
    Owner,
    /// The wallet is no member.
    #[error("this wallet is not a member")]
    NotAMember,
    /// The wallet already is a member.
    #[error("this wallet is already a member; change its role instead")]
    AlreadyAMember,
    /// The zero address.
    #[error("the zero address is not allowed")]
    ZeroAddress,
    /// An address that cannot own the organization.
    #[error("name another wallet than the owner's, the organization's own contract and the zero address")]
    NotAnOwner,
    /// The organization's own projects need no acceptance.
    #[error("this project belongs to the organization itself, which needs no acceptance to call it")]
    OwnProject,
    /// The list of accepted projects is full.
    #[error("this organization accepts {MOST_ACCEPTED} projects, which is the limit; withdraw one first")]
    TooManyAccepted,
    /// The caller owns no indexed organization.
    #[error(
        "no organization of this wallet is indexed yet; send createOrganization(name) first, or give a name here"
    )]
    NothingIndexed,
    /// Calls are running.
    #[error("calls of this organization are in flight; try again when they have ended")]
    CallsInFlight,
    /// Deployment failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for OrgError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) | Self::NotAMember | Self::NothingIndexed => Kind::NotFound,
            Self::Forbidden => Kind::Forbidden,
            Self::Name
            | Self::DeceptiveName(_)
            | Self::Setting(_)
            | Self::BotToken(_)
            | Self::NothingToChange
            | Self::ZeroAddress
            | Self::NotAnOwner => Kind::Invalid,
            Self::Owner
            | Self::AlreadyAMember
            | Self::CallsInFlight
            | Self::ProjectNameTaken
            | Self::OwnProject
            | Self::TooManyAccepted => Kind::Conflict,
            Self::Deploy(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Forbidden => "forbidden",
            Self::Name | Self::DeceptiveName(_) => "invalid_name",
            Self::ProjectNameTaken => "project_name_taken",
            Self::Setting(_) => "invalid_setting",
            Self::BotToken(_) => "invalid_token",
            Self::NothingToChange => "nothing_to_change",
            Self::Owner => "owner_is_on_chain",
            Self::NotAMember => "not_a_member",
            Self::AlreadyAMember => "already_a_member",
            Self::ZeroAddress => "zero_address",
            Self::NotAnOwner => "not_an_owner",
            Self::OwnProject => "own_project",
            Self::TooManyAccepted => "too_many_accepted_projects",
            Self::NothingIndexed => "organization_not_indexed",
            Self::CallsInFlight => "calls_in_flight",
            Self::Deploy(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Deploy(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

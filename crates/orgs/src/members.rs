//! The rules about changes of members. A store asks them within the transaction of the change: of two
//! who change the same member at once, the second is judged by what the first left.

use crate::{
    error::OrgError,
    model::{OrgRole, ProjectRole, Standing, ZERO_ADDRESS},
    policy::{Action, allows},
};
use haithe_kernel::WalletAddress;

/// What a change of a member is judged by, as it is in the transaction of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberFacts<R> {
    /// What who acts is to the organization, and to the project where it is about one.
    pub standing: Standing,
    /// The owner of the organization; `None` when it does not exist.
    pub owner: Option<WalletAddress>,
    /// The role that the member has.
    pub present: Option<R>,
}

/// A rule about a change, which a store calls in the transaction of the change, and again whenever it repeats that
/// transaction. What the rule refuses is not done.
pub type Judge<R> = Box<dyn Fn(MemberFacts<R>) -> Result<(), OrgError> + Send + Sync>;

/// Lets everything pass: for what was decided elsewhere.
pub fn decided<R>() -> Judge<R> {
    Box::new(|_| Ok(()))
}

/// What shall become of a wallet's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<R> {
    /// It becomes a member.
    Add(R),
    /// Its role changes.
    Change(R),
    /// It is one no more.
    Remove,
}

impl<R: Copy> Edit<R> {
    const fn role(self) -> Option<R> {
        match self {
            Self::Add(role) | Self::Change(role) => Some(role),
            Self::Remove => None,
        }
    }

    /// Whether the edit fits what is there.
    fn fits(self, member: WalletAddress, present: Option<R>) -> Result<(), OrgError> {
        match (self, present) {
            (Self::Add(_), _) if member == ZERO_ADDRESS => Err(OrgError::ZeroAddress),
            (Self::Add(_), Some(_)) => Err(OrgError::AlreadyAMember),
            (Self::Change(_) | Self::Remove, None) => Err(OrgError::NotAMember),
            _ => Ok(()),
        }
    }
}

/// Of an organization: admins manage plain members, the owner everybody, and everybody but the owner
/// may leave.
pub fn of_organization(caller: WalletAddress, member: WalletAddress, edit: Edit<OrgRole>) -> Judge<OrgRole> {
    Box::new(move |facts| {
        let MemberFacts {
            standing,
            owner,
            present,
        } = facts;
        if !allows(standing, Action::ReadOrg) {
            return Err(OrgError::NotFound("organization"));
        }
        let leaves = edit == Edit::Remove && caller == member;
        if !leaves && !allows(standing, Action::ManageOrgMembers) {
            return Err(OrgError::Forbidden);
        }
        if owner == Some(member) {
            return Err(OrgError::Owner);
        }
        let touches_admin = edit.role() == Some(OrgRole::Admin) || present == Some(OrgRole::Admin);
        if touches_admin && !leaves && !allows(standing, Action::ManageOrgAdmins) {
            return Err(OrgError::Forbidden);
        }
        edit.fits(member, present)
    })
}

/// Of a project: whoever manages it manages its members, and everybody may leave.
pub fn of_project(
    caller: WalletAddress,
    member: WalletAddress,
    edit: Edit<ProjectRole>,
) -> Judge<ProjectRole> {
    Box::new(move |facts| {
        let action = if edit == Edit::Remove && caller == member {
            Action::ReadProject
        } else {
            Action::ManageProject
        };
        if !allows(facts.standing, Action::ReadOrg) {
            return Err(OrgError::NotFound("project"));
        }
        if !allows(facts.standing, action) {
            return Err(OrgError::Forbidden);
        }
        edit.fits(member, facts.present)
    })
}

//! The design's table of roles, and what each kind of caller must be answered.

use Action::*;
use Principal::*;

/// A line of the design's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ReadOrg,
    ManageOrg,
    ReadAdministration,
    ManageOrgMembers,
    ManageOrgAdmins,
    ManageModelsAndProjects,
    ReadOrgMoney,
    MoveOrgMoney,
    AcceptProjects,
    ReadProject,
    ConfigureProject,
    ManageProject,
    CallAsProject,
    ReadProjectMoney,
}

/// Owner, admin, member | project admin, developer, viewer.
const TABLE: [(Action, &str); 14] = [
    (ReadOrg, "yyy yyy"),
    (ManageOrg, "y-- ---"),
    (ReadAdministration, "yy- ---"),
    (ManageOrgMembers, "yy- ---"),
    (ManageOrgAdmins, "y-- ---"),
    (ManageModelsAndProjects, "yy- ---"),
    (ReadOrgMoney, "yy- ---"),
    (MoveOrgMoney, "y-- ---"),
    (AcceptProjects, "yy- ---"),
    (ReadProject, "yy- yyy"),
    (ConfigureProject, "yy- yy-"),
    (ManageProject, "yy- y--"),
    (CallAsProject, "yy- yy-"),
    (ReadProjectMoney, "yy- yyy"),
];

/// The columns of [`TABLE`].
const COLUMNS: [Principal; 6] = [Owner, OrgAdmin, OrgMember, ProjectAdmin, Developer, Viewer];

/// A kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// Says `Bearer null`, as the SDK does before a login.
    Anonymous,
    /// A token that was good four days ago.
    Expired,
    /// A token of a session that was logged out.
    Revoked,
    /// A session, and no role anywhere.
    Stranger,
    /// Owns an organization, which is not the one asked about.
    OwnerElsewhere,
    /// Sells products, and has no role anywhere.
    Creator,
    Viewer,
    Developer,
    ProjectAdmin,
    OrgMember,
    OrgAdmin,
    Owner,
    /// A developer's API key for the project.
    ScopedKey,
    /// The API key of somebody who was a developer of the project.
    RemovedKey,
}

/// All of them. Who may least comes first, so that what destroys is refused before it is done.
pub const PRINCIPALS: [Principal; 14] = [
    Anonymous,
    Expired,
    Revoked,
    Stranger,
    OwnerElsewhere,
    Creator,
    RemovedKey,
    ScopedKey,
    Viewer,
    Developer,
    ProjectAdmin,
    OrgMember,
    OrgAdmin,
    Owner,
];

impl Principal {
    /// Whether it comes without a credential, or with one that is worth nothing.
    pub fn is_nobody(self) -> bool {
        matches!(self, Anonymous | Expired | Revoked)
    }

    /// Whether it comes with an API key.
    pub fn is_key(self) -> bool {
        matches!(self, ScopedKey | RemovedKey)
    }

    /// Whether it has a role in the tenant.
    fn has_role(self) -> bool {
        COLUMNS.contains(&self)
    }

    fn may(self, action: Action) -> bool {
        let (_, row) = TABLE
            .iter()
            .find(|(row, _)| *row == action)
            .expect("every action has a row");
        let mut cells = row.chars().filter(|cell| *cell != ' ');
        COLUMNS
            .iter()
            .any(|column| cells.next() == Some('y') && *column == self)
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody may.
    Public,
    /// Anybody may ask about a thing that may not exist.
    PublicThing,
    /// Whoever has a session may.
    Session,
    /// A thing of a wallet's own; nobody else's.
    Mine,
    /// A thing of the organization or project.
    Of(Action),
    /// As [`Rule::Of`], but who may not, does not learn that it exists.
    Hidden(Action),
    /// Only the creator may, of a thing that everybody sees.
    Creators,
    /// A call on behalf of a project, by a session or a key.
    Call,
    /// A wallet's own thing within a project, by a session or a key.
    MineInProject,
}

/// Whose thing is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// None in particular.
    Nothing,
    /// The tenant's, or the caller's own where things belong to wallets.
    Own,
    /// Of a tenant, or a wallet, that none of the callers has to do with.
    Foreign,
    /// One that does not exist.
    Missing,
}

/// What must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Success,
    /// A refusal with this status, and this code where it is one for all operations.
    Refused(u16, Option<&'static str>),
}

const LOGIN: Expected = Expected::Refused(401, None);
const SESSION: Expected = Expected::Refused(403, Some("session_required"));
const HIDDEN: Expected = Expected::Refused(404, Some("not_found"));
const TOO_LOW: Expected = Expected::Refused(403, None);

impl Rule {
    /// The things to ask about.
    pub fn objects(self) -> &'static [Object] {
        match self {
            Self::Public | Self::Session => &[Object::Nothing],
            Self::PublicThing => &[Object::Own, Object::Missing],
            Self::Creators => &[Object::Own, Object::Missing],
            _ => &[Object::Missing, Object::Foreign, Object::Own],
        }
    }

    /// Whether the document must say that it is public.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Public | Self::PublicThing)
    }

    /// What the caller must be answered.
    pub fn expects(self, who: Principal, object: Object) -> Expected {
        match self {
            Self::Public => Expected::Success,
            Self::PublicThing if object == Object::Own => Expected::Success,
            Self::PublicThing => HIDDEN,
            _ if who.is_nobody() => LOGIN,
            Self::Call | Self::MineInProject => calling(self, who, object),
            _ if who.is_key() => SESSION,
            Self::Session => Expected::Success,
            _ if object != Object::Own => HIDDEN,
            Self::Mine => Expected::Success,
            Self::Creators if who == Creator => Expected::Success,
            Self::Creators => TOO_LOW,
            Self::Of(action) | Self::Hidden(action) if who.may(action) => Expected::Success,
            Self::Of(_) if who.has_role() => TOO_LOW,
            Self::Of(_) | Self::Hidden(_) => HIDDEN,
        }
    }
}

/// A call on behalf of a project. The object is the project, or for a thing in a project the thing.
fn calling(rule: Rule, who: Principal, object: Object) -> Expected {
    let may = who.may(CallAsProject) || who == ScopedKey;
    match (rule, object) {
        (Rule::Call, Object::Own) if may => Expected::Success,
        (Rule::Call, Object::Foreign | Object::Missing) if who.is_key() => {
            Expected::Refused(403, Some("key_scope"))
        }
        (Rule::Call, Object::Foreign | Object::Missing) => HIDDEN,
        (_, Object::Own) if may => Expected::Success,
        (_, _) if may => HIDDEN,
        (_, _) if who.has_role() => TOO_LOW,
        _ => HIDDEN,
    }
}

#[test]
fn the_tables_corners_are_read_right() {
    assert!(Owner.may(MoveOrgMoney) && !OrgAdmin.may(MoveOrgMoney));
    assert!(Viewer.may(ReadProjectMoney) && !Viewer.may(CallAsProject));
    assert!(OrgMember.may(ReadOrg) && !OrgMember.may(ReadProject));
    assert!(!Stranger.may(ReadOrg) && !ScopedKey.may(ReadOrg));
}

#[test]
fn things_of_a_wallet_s_own_are_nobody_else_s() {
    let creators = |who, object| Rule::Creators.expects(who, object);
    assert_eq!(creators(Creator, Object::Own), Expected::Success);
    assert_eq!(creators(Owner, Object::Own), TOO_LOW);
    assert_eq!(creators(Owner, Object::Missing), HIDDEN);
    let talks = |who, object| Rule::MineInProject.expects(who, object);
    assert_eq!(talks(ScopedKey, Object::Own), Expected::Success);
    assert_eq!(talks(Developer, Object::Foreign), HIDDEN);
    assert_eq!(talks(Viewer, Object::Own), TOO_LOW);
}

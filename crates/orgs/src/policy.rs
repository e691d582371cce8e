//! The rule table, as data. `docs/ROLES.md` prints it; the tests keep their own copy.

use crate::model::{OrgRole, ProjectRole, Standing};

/// Something a wallet may want to do to an organization or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the organization, its list of projects, members and enabled models.
    ReadOrg,
    /// Rename the organization or change its settings.
    ManageOrg,
    /// Invite, change or remove plain members.
    ManageOrgMembers,
    /// Appoint or remove admins; delete the organization.
    ManageOrgAdmins,
    /// Enable or disable models; create projects.
    ManageModelsAndProjects,
    /// Read balance, expenditure, usage and receipts of the organization.
    ReadOrgMoney,
    /// Withdraw, set the daily cap, transfer ownership (the wallet's own transactions).
    MoveOrgMoney,
    /// Read the project, its configuration, price and products.
    ReadProject,
    /// Configure the project: models, memory, search, products, webhooks, bots.
    ConfigureProject,
    /// Manage the project's members, price and public flag; delete it.
    ManageProject,
    /// Call inference as the project; its own conversations.
    CallAsProject,
    /// Read usage and receipts of the project.
    ReadProjectMoney,
}

/// One row: who may. The columns are organization owner, admin, member, then project admin,
/// developer, viewer.
const fn row(action: Action) -> [bool; 6] {
    const Y: bool = true;
    const N: bool = false;
    match action {
        Action::ReadOrg => [Y, Y, Y, Y, Y, Y],
        Action::ManageOrg => [Y, N, N, N, N, N],
        Action::ManageOrgMembers => [Y, Y, N, N, N, N],
        Action::ManageOrgAdmins => [Y, N, N, N, N, N],
        Action::ManageModelsAndProjects => [Y, Y, N, N, N, N],
        Action::ReadOrgMoney => [Y, Y, N, N, N, N],
        Action::MoveOrgMoney => [Y, N, N, N, N, N],
        Action::ReadProject => [Y, Y, N, Y, Y, Y],
        Action::ConfigureProject => [Y, Y, N, Y, Y, N],
        Action::ManageProject => [Y, Y, N, Y, N, N],
        Action::CallAsProject => [Y, Y, N, Y, Y, N],
        Action::ReadProjectMoney => [Y, Y, N, Y, Y, Y],
    }
}

/// Whether a wallet of this standing may do it.
pub fn allows(standing: Standing, action: Action) -> bool {
    let [owner, admin, member, project_admin, developer, viewer] = row(action);
    let through_org = match standing.org {
        Some(OrgRole::Admin) => admin,
        Some(OrgRole::Member) => member,
        None => false,
    };
    let through_project = match standing.project {
        Some(ProjectRole::Admin) => project_admin,
        Some(ProjectRole::Developer) => developer,
        Some(ProjectRole::Viewer) => viewer,
        None => standing.any_project && matches!(action, Action::ReadOrg),
    };
    (standing.owner && owner) || through_org || through_project
}

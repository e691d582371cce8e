//! The rule table, as data. `docs/ROLES.md` prints it; the tests keep their own copy.

use crate::model::{OrgRole, ProjectRole, Standing};

/// Something a wallet may want to do to an organization or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the organization, its list of projects, members and enabled models.
    ReadOrg,
    /// Rename the organization or change its settings.
    ManageOrg,
    /// Read the organization's settings and its audit.
    ReadAdministration,
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
    /// Accept other organizations' public projects up to a price, and read which ones are accepted.
    AcceptProjects,
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
        Action::ReadAdministration => [Y, Y, N, N, N, N],
        Action::ManageOrgMembers => [Y, Y, N, N, N, N],
        Action::ManageOrgAdmins => [Y, N, N, N, N, N],
        Action::ManageModelsAndProjects => [Y, Y, N, N, N, N],
        Action::ReadOrgMoney => [Y, Y, N, N, N, N],
        Action::MoveOrgMoney => [Y, N, N, N, N, N],
        Action::AcceptProjects => [Y, Y, N, N, N, N],
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, copied by hand: owner, admin, member | admin, developer, viewer.
    const TABLE: &[(Action, &str)] = &[
        (Action::ReadOrg, "yyy yyy"),
        (Action::ManageOrg, "y-- ---"),
        (Action::ReadAdministration, "yy- ---"),
        (Action::ManageOrgMembers, "yy- ---"),
        (Action::ManageOrgAdmins, "y-- ---"),
        (Action::ManageModelsAndProjects, "yy- ---"),
        (Action::ReadOrgMoney, "yy- ---"),
        (Action::MoveOrgMoney, "y-- ---"),
        (Action::AcceptProjects, "yy- ---"),
        (Action::ReadProject, "yy- yyy"),
        (Action::ConfigureProject, "yy- yy-"),
        (Action::ManageProject, "yy- y--"),
        (Action::CallAsProject, "yy- yy-"),
        (Action::ReadProjectMoney, "yy- yyy"),
    ];

    #[test]
    fn every_role_may_do_exactly_what_the_table_says() {
        let none = Standing::default();
        let org = |role| Standing {
            org: Some(role),
            ..none
        };
        let project = |role| Standing {
            project: Some(role),
            any_project: true,
            ..none
        };
        let columns = [
            Standing { owner: true, ..none },
            org(OrgRole::Admin),
            org(OrgRole::Member),
            project(ProjectRole::Admin),
            project(ProjectRole::Developer),
            project(ProjectRole::Viewer),
        ];
        for (action, row) in TABLE {
            let cells = row.chars().filter(|c| *c != ' ');
            for (standing, cell) in columns.iter().zip(cells) {
                assert_eq!(allows(*standing, *action), cell == 'y', "{standing:?} {action:?}");
            }
            assert!(!allows(none, *action), "a stranger {action:?}");
        }
    }

    #[test]
    fn a_role_in_another_project_shows_the_organization_and_nothing_more() {
        let elsewhere = Standing {
            any_project: true,
            ..Standing::default()
        };
        for (action, _) in TABLE {
            assert_eq!(
                allows(elsewhere, *action),
                *action == Action::ReadOrg,
                "{action:?}"
            );
        }
    }
}

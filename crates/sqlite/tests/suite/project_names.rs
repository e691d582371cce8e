//! Projects that are older than the rule that a name is used once in an organization.

use crate::fixture::{Fixture, NOON, OWNER, nano};
use haithe_kernel::{ModelId, ProjectId, ProjectUid};
use haithe_orgs::{Act, Caller, NewProject, OrgError, ProjectChange, ports::ProjectStore};
use haithe_sqlite::SqliteProjectStore;
use uuid::Uuid;

const NOTICE: haithe_orgs::PriceNotice = haithe_orgs::PriceNotice(std::time::Duration::from_secs(604_800));

fn act() -> Act {
    Caller::from(OWNER).acts(NOON)
}

fn named(name: &str) -> ProjectChange {
    ProjectChange {
        name: Some(name.into()),
        ..ProjectChange::default()
    }
}

/// Finding 24: duplicates of before stay usable, and nobody can add to them.
#[tokio::test(flavor = "multi_thread")]
async fn older_projects_of_one_name_stay_and_their_name_is_taken() {
    let (mut fixture, org) = Fixture::funded(nano(1)).await;
    fixture.db.close().await.unwrap();
    let mut stranger = fixture.stranger().await;
    for number in [71_u8, 72] {
        // Without a key, as the rows were that the migration found.
        sqlx::query(
            "INSERT INTO projects (id, project_uid, org_id, name, default_model_id, created_at)
             VALUES (?, ?, ?, 'École', 1, 0)",
        )
        .bind(i64::from(number))
        .bind(vec![number; 16])
        .bind(org.0)
        .execute(&mut stranger)
        .await
        .unwrap();
    }
    sqlx::Connection::close(stranger).await.unwrap();
    fixture.db = fixture.open_again().await.unwrap();
    let projects = SqliteProjectStore::new(&fixture.db);
    let (first, second) = (ProjectId(71), ProjectId(72));
    let create = |name: &str| {
        let new = NewProject {
            uid: ProjectUid::new(Uuid::now_v7()),
            org,
            name: name.into(),
            default_model: ModelId(1),
            created_at: NOON,
        };
        projects.create(new, act())
    };
    for name in ["École", "école", "e\u{301}cole"] {
        let made = create(name).await;
        assert!(matches!(made, Err(OrgError::ProjectNameTaken)), "{name}");
    }
    // A form that sends the unchanged name back still works.
    for id in [first, second] {
        let unchanged = projects.change(id, named("École"), NOTICE, act()).await.unwrap();
        assert_eq!(unchanged.unwrap().name, "École");
    }
    projects
        .change(first, named("Lycée"), NOTICE, act())
        .await
        .unwrap();
    let back = projects.change(first, named("école"), NOTICE, act()).await;
    assert!(matches!(back, Err(OrgError::ProjectNameTaken)));
    projects.delete(second, act()).await.unwrap();
    create("École").await.unwrap();
}

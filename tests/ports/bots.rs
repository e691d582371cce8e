//! [`BotStore`].

use crate::{
    database::{Database, on_every_database},
    world::{World, act, wallet},
};
use haithe_kernel::{Page, ProjectId};
use haithe_orgs::{
    AuditAction, Project,
    bots::{BotPlatform, BotToken, BotTokens},
};
use secrecy::SecretString;

fn token(platform: BotPlatform, letter: char) -> BotToken {
    let many = |count: usize| letter.to_string().repeat(count);
    let text = match platform {
        BotPlatform::Telegram => format!("12345:{}", many(35)),
        BotPlatform::Discord => format!("{}.{}.{}", many(26), many(6), many(38)),
    };
    BotToken::parse(platform, SecretString::from(text)).unwrap()
}

async fn kept(db: &impl Database, project: ProjectId, platform: BotPlatform) -> Option<String> {
    let token = db.bots().token(project, platform).await.unwrap();
    token.map(|token| token.expose().to_owned())
}

async fn set(db: &impl Database, project: &Project) -> BotTokens {
    db.projects().find(project.id).await.unwrap().unwrap().bots
}

async fn a_token_is_kept_replaced_and_taken_away_on_each_platform_alone(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    assert_eq!(project.bots, BotTokens::default());
    for platform in BotPlatform::ALL {
        let (bots, other) = (world.db.bots(), other(platform));
        assert_eq!(kept(&world.db, project.id, platform).await, None);
        let version = world.db.directory().version();
        for letter in ['a', 'b'] {
            let put = token(platform, letter);
            let expected = put.expose().to_owned();
            assert!(bots.put(project.id, put, act(wallet(1))).await.unwrap());
            assert_eq!(kept(&world.db, project.id, platform).await, Some(expected));
            assert_eq!(kept(&world.db, project.id, other).await, None);
        }
        assert!(world.db.directory().version() > version);
        let now = set(&world.db, &project).await;
        assert!(now.has(platform) && !now.has(other));
        for _ in 0..2 {
            assert!(bots.remove(project.id, platform, act(wallet(1))).await.unwrap());
            assert_eq!(kept(&world.db, project.id, platform).await, None);
        }
        assert_eq!(set(&world.db, &project).await, BotTokens::default());
    }
}

const fn other(platform: BotPlatform) -> BotPlatform {
    match platform {
        BotPlatform::Telegram => BotPlatform::Discord,
        BotPlatform::Discord => BotPlatform::Telegram,
    }
}

async fn tokens_survive_a_restart_and_belong_to_one_project(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let (one, two) = (world.project(&org).await, world.project(&org).await);
    for (project, letter) in [(&one, 'a'), (&two, 'b')] {
        let put = token(BotPlatform::Telegram, letter);
        assert!(
            world
                .db
                .bots()
                .put(project.id, put, act(wallet(1)))
                .await
                .unwrap()
        );
    }
    let world = world.reopened().await;
    for (project, letter) in [(&one, 'a'), (&two, 'b')] {
        let expected = token(BotPlatform::Telegram, letter).expose().to_owned();
        assert_eq!(
            kept(&world.db, project.id, BotPlatform::Telegram).await,
            Some(expected)
        );
    }
    let context = world.db.directory().context(org.uid, one.uid, wallet(1)).await;
    let expected = BotTokens {
        telegram: true,
        discord: false,
    };
    assert_eq!(context.unwrap().unwrap().project.bots, expected);
}

async fn a_missing_or_deleted_project_has_no_token(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let (bots, platform) = (world.db.bots(), BotPlatform::Discord);
    bots.put(project.id, token(platform, 'a'), act(wallet(1)))
        .await
        .unwrap();
    world
        .db
        .projects()
        .delete(project.id, act(wallet(1)))
        .await
        .unwrap();
    for id in [project.id, ProjectId(project.id.0 + 1)] {
        assert_eq!(kept(&world.db, id, platform).await, None);
        assert!(!bots.put(id, token(platform, 'b'), act(wallet(1))).await.unwrap());
        assert!(!bots.remove(id, platform, act(wallet(1))).await.unwrap());
        assert_eq!(kept(&world.db, id, platform).await, None);
    }
}

async fn each_change_is_audited_without_the_token(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let (bots, platform) = (world.db.bots(), BotPlatform::Telegram);
    bots.put(project.id, token(platform, 'a'), act(wallet(2)))
        .await
        .unwrap();
    for _ in 0..2 {
        bots.remove(project.id, platform, act(wallet(3))).await.unwrap();
    }
    let lines = world.db.audit().of_org(org.id, None, Page::FIRST).await.unwrap();
    let of_bots: Vec<_> = lines
        .items
        .into_iter()
        .filter(|line| line.subject.as_deref() == Some("telegram"))
        .collect();
    let said: Vec<_> = of_bots
        .iter()
        .map(|line| (line.action, line.act.by.address, line.project))
        .collect();
    assert_eq!(
        said,
        [
            (AuditAction::BotRemoved, wallet(3), Some(project.id)),
            (AuditAction::BotConfigured, wallet(2), Some(project.id)),
        ]
    );
    assert!(
        of_bots
            .iter()
            .all(|line| line.before.is_none() && line.after.is_none())
    );
}

on_every_database!(
    a_token_is_kept_replaced_and_taken_away_on_each_platform_alone,
    tokens_survive_a_restart_and_belong_to_one_project,
    a_missing_or_deleted_project_has_no_token,
    each_change_is_audited_without_the_token,
);

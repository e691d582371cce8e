//! A restored backup does not leave revoked credentials in use.

use haithe_kernel::Usdt;
use haithe_tests::app::App;
use sqlx::{Connection, SqliteConnection};
use std::{fs, path::Path, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}

/// A backup as `docs/OPERATIONS.md` says: a copy of the file alone lacks what is in the write-ahead log.
async fn back_up(file: &Path, backup: &Path) {
    let url = format!("sqlite://{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("VACUUM INTO ?")
        .bind(backup.display().to_string())
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

const MODELS: &str = "/v1beta/openai/models";

/// Finding 19: restoring a backup revived revoked keys, and nothing could revoke them all again.
#[tokio::test(flavor = "multi_thread")]
async fn revoke_before_a_time_ends_the_keys_and_sessions_that_a_restored_backup_revives() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let key = tenant.project_key().await;
    let session = tenant.owner.token.clone();
    let around = app.stop().await;
    let file = around.dir().join("haithe.db");
    let backup = around.dir().join("backup.db");
    back_up(&file, &backup).await;

    // After the backup, the owner revokes the key.
    let app = App::over(around).await;
    let program = app.anonymous().bearer(&key);
    assert_eq!(program.get(MODELS).send().await.status, 200);
    let owner = app.anonymous().bearer(&session);
    let keys = owner.get("/v1/me/api-keys").data().await;
    let id = keys[0]["id"].as_i64().unwrap();
    owner
        .ask(http::Method::DELETE, &format!("/v1/me/api-keys/{id}"))
        .send()
        .await
        .data();
    program.get(MODELS).openai_refused(401, "invalid_api_key").await;
    let around = app.stop().await;

    // The restore brings it back to life, until the operator revokes everything older than it.
    for side in ["haithe.db-wal", "haithe.db-shm"] {
        let _ = fs::remove_file(around.dir().join(side));
    }
    fs::copy(&backup, &file).unwrap();
    let early = rfc3339(OffsetDateTime::now_utc() - Duration::from_secs(86_400));
    let nothing = around.run(&["revoke", "--before", &early], None).await;
    assert!(nothing.success(), "{nothing:?}");
    assert!(
        nothing.stdout.contains("revoked 0 API keys and 0 sessions"),
        "{}",
        nothing.stdout
    );
    let now = rfc3339(OffsetDateTime::now_utc() + Duration::from_secs(1));
    let revoked = around.run(&["revoke", "--before", &now], None).await;
    assert!(revoked.success(), "{revoked:?}");
    assert!(
        revoked.stdout.contains("revoked 1 API keys and 1 sessions"),
        "{}",
        revoked.stdout
    );

    let app = App::over(around).await;
    app.anonymous()
        .bearer(&key)
        .get(MODELS)
        .openai_refused(401, "invalid_api_key")
        .await;
    let me = app.anonymous().bearer(&session).get("/v1/me").send().await;
    assert_eq!(me.status, 401, "{}", me.text());
    // A fresh login works.
    app.wallet(1).await;
    let refused = app.run(&["revoke", "--before", &now], None).await;
    assert!(
        !refused.success(),
        "a running server keeps the database: {refused:?}"
    );
    assert!(refused.stderr.contains("another server"), "{}", refused.stderr);
}

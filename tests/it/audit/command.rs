//! `shelfwise tenant verify-audit`.

use std::process::Output;

use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;

use super::anchored;
use crate::graphql_helpers::author;
use crate::harness::cluster::{psql, shared_urls};
use crate::harness::command::shelfwise;
use crate::harness::world;

#[tokio::test]
async fn a_trail_is_verified_at_the_command_line() {
    world(async |world| {
        let (slug, key) = (world.a.slug.as_str(), JwtKey::generate("test-1").unwrap().to_setting());
        let run = |arguments: &[&str]| -> (Output, String, String) {
            let output = shelfwise(&shared_urls(), &key, arguments);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            (output, stdout, stderr)
        };
        for index in 0..3 {
            author(&world.owner(), &format!("Author {index}")).await;
        }
        anchored(world).await;

        let (output, stdout, stderr) = run(&["tenant", "verify-audit", slug]);
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stdout, format!("{slug}: 3 entries are intact, 1 anchors agree\n"));
        let (_, stdout, _) = run(&["tenant", "verify-audit", slug, "--json"]);
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (&report["entries"], &report["head"]["sequence"], &report["broken"]),
            (&json!(3), &json!(3), &Value::Null)
        );

        let delete = format!(r#"DELETE FROM "{}".audit_log WHERE sequence = 2"#, world.a.schema);
        psql().await.batch_execute(&delete).await.unwrap();
        let (output, stdout, stderr) = run(&["tenant", "verify-audit", slug]);
        assert_eq!((output.status.code(), stderr.as_str()), (Some(1), "shelfwise: the trail is broken\n"));
        assert_eq!(
            stdout,
            format!(
                "{slug}: broken at entry 2: the entry is missing; the 1 entries before are intact, 0 anchors agree\n"
            )
        );
        let (output, stdout, _) = run(&["tenant", "verify-audit", slug, "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&report["broken"]["sequence"], &report["broken"]["fault"]), (&json!(2), &json!("missing")));

        let query = "SELECT count(*) FROM control.admin_audit WHERE action = 'tenant.verify_audit' AND target = $1";
        assert_eq!(psql().await.query_one(query, &[&slug]).await.unwrap().get::<_, i64>(0), 4);
        let (output, _, stderr) = run(&["tenant", "verify-audit", "nobody"]);
        assert!(!output.status.success());
        assert_eq!(stderr, "shelfwise: there is no tenant `nobody`\n");
    })
    .await;
}

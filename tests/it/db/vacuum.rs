//! PostgreSQL's own catalogues, after very many tenants were made.

use shelfwise::app::owner;
use shelfwise::db::vacuum::vacuum;

use crate::jobs::queue::Queue;

#[tokio::test]
async fn the_owner_vacuums_what_is_the_databases_and_says_what_is_the_clusters() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    let vacuumed = vacuum(&owner).await.unwrap();
    assert!(vacuumed.done.contains(&"pg_class") && vacuumed.done.contains(&"pg_depend"), "{vacuumed:?}");
    assert_eq!(vacuumed.left, ["pg_authid", "pg_auth_members", "pg_shdepend"]);
    // PostgreSQL only warns whoever may not: it has been done where it was counted.
    let counted = format!(
        "SELECT count(*) FROM pg_stat_sys_tables WHERE vacuum_count > 0
            AND relname IN ('{}')",
        vacuumed.done.join("', '")
    );
    queue.until(&counted, &vacuumed.done.len().to_string()).await;

    let name = queue.database().await;
    queue.sql(&format!("ALTER DATABASE {name} OWNER TO postgres")).await;
    let refused = vacuum(&owner).await.unwrap();
    assert_eq!(refused.done, Vec::<&str>::new());
    assert_eq!(refused.left.len(), vacuumed.done.len() + 3);
}

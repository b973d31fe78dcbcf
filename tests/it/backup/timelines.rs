//! A cluster that was restored is on a timeline of its own, and what it has left behind can still be reached.

use std::fs;

use shelfwise::config::database::DatabaseUrls;

use super::{Archived, Site, start_restored};

/// Writes a line down.
async fn note(archived: &Archived, line: &str) {
    archived.psql().await.execute("INSERT INTO notes (line) VALUES ($1)", &[&line]).await.unwrap();
}

/// The timeline that a cluster writes, and all lines, in order.
async fn notes(archived: &Archived) -> (String, Vec<String>) {
    let psql = archived.psql().await;
    let timeline = psql.query_one("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)", &[]).await.unwrap().get(0);
    let lines = psql.query("SELECT line FROM notes ORDER BY id", &[]).await.unwrap();
    (timeline, lines.iter().map(|row| row.get(0)).collect())
}

/// Restores what was lost and starts it. Answers what the script said, too.
async fn restored(site: &Site, arguments: &[&str], urls: &DatabaseUrls) -> (Archived, String) {
    let (status, told) = site.restore("restored", arguments);
    assert_eq!(status, Some(0), "{told}");
    (Archived { cluster: start_restored(site).await, urls: urls.clone() }, told)
}

/// As they are answered.
fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The timeline that what was restored was told to go to.
fn target(site: &Site) -> String {
    let settings = fs::read_to_string(site.path("restored/data/postgresql.auto.conf")).unwrap();
    settings.lines().rfind(|line| line.starts_with("recovery_target_timeline = ")).unwrap().to_owned()
}

#[tokio::test]
async fn what_a_restore_has_left_behind_is_reached_by_its_timeline() {
    let site = Site::new();
    let backups = site.path("backups");
    let backups = [backups.to_str().unwrap()];
    let first = site.cluster().await;
    let table = "CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY, line text NOT NULL)";
    first.psql().await.batch_execute(table).await.unwrap();
    note(&first, "before the copy").await;
    let copy = site.done(&first.cluster, "base-backup", &backups);
    note(&first, "one").await;
    let one = first.moment().await;
    note(&first, "two").await;
    let two = first.moment().await;
    note(&first, "three").await;
    first.archive().await;
    let urls = first.urls.clone();
    first.lose(&site.path("cluster"));

    // Too early a moment is chosen, and the shops go on from there.
    let (second, told) = restored(&site, &["--until", &one], &urls).await;
    assert!(told.contains(copy.rsplit('/').next().unwrap()), "{told}");
    assert_eq!(target(&site), "recovery_target_timeline = 'latest'");
    assert_eq!(notes(&second).await, ("00000002".to_owned(), lines(&["before the copy", "one"])));
    note(&second, "elsewhere").await;
    let copy_of_second = site.done(&second.cluster, "base-backup", &backups);
    second.archive().await;
    second.lose(&site.path("restored"));

    for timeline in ["0", "01", "0x1", "1.5", "current", ""] {
        assert_eq!(site.restore("restored", &["--timeline", timeline]).0, Some(2), "{timeline:?}");
    }
    let (status, told) = site.restore("restored", &["--timeline", "7"]);
    assert!(status == Some(1) && told.contains("before now on the way to timeline 7"), "{told}");
    assert!(!site.path("restored").exists(), "what was refused has made nothing");
    // The newest copy that leads there, and not the newest of all; one of before a restore leads to where that went, too.
    for (folder, arguments, copy) in [
        ("to-1", &["--timeline", "1"][..], &copy),
        ("to-2", &["--timeline", "2"], &copy_of_second),
        ("to-elsewhere", &["--timeline", "2", "--until", &two], &copy),
    ] {
        let (_, told) = site.restore(folder, arguments);
        assert!(told.contains(copy.rsplit('/').next().unwrap()), "{folder}: {told}");
        fs::remove_dir_all(site.path(folder)).unwrap();
    }

    let (third, _) = restored(&site, &["--timeline", "1", "--until", &two], &urls).await;
    assert_eq!(target(&site), "recovery_target_timeline = '1'");
    assert_eq!(notes(&third).await, ("00000003".to_owned(), lines(&["before the copy", "one", "two"])));
}

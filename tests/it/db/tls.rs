//! TLS to a PostgreSQL that has it: every mode of libpq.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl as _;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::db::connection::connect;
use shelfwise::db::tls::Target;

use crate::harness::authority::Authority;

#[derive(diesel::QueryableByName)]
struct Ssl {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

async fn is_encrypted(url: &str) -> Result<bool, String> {
    let target = Target::from_url(url).map_err(|error| format!("{error:#}"))?;
    let mut pg = connect(&target).await.map_err(|error| error.to_string())?;
    let query = diesel::sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    Ok(query.get_result::<Ssl>(&mut pg).await.map_err(|error| error.to_string())?.ssl)
}

#[tokio::test]
async fn every_sslmode_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let authority = Authority::new("An authority");
    let (certificate, key) = authority.server("localhost");
    let (root, other) = (folder.path().join("root.pem"), folder.path().join("other.pem"));
    fs::write(&root, authority.pem()).unwrap();
    fs::write(&other, Authority::new("A stranger").pem()).unwrap();
    let (cert_file, key_file) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    fs::write(&cert_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    // PostgreSQL takes a key that belongs to itself or to root and that the world cannot read.
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    give_to_server(&key_file);

    let settings =
        [("ssl", "on"), ("ssl_cert_file", cert_file.to_str().unwrap()), ("ssl_key_file", key_file.to_str().unwrap())];
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::None, &settings).await.unwrap();
    let plain = cluster.superuser_url("postgres");
    let base = plain.split('?').next().unwrap();
    let by_name = base.replace("127.0.0.1", "localhost");
    let with = |url: &str, mode: &str, root: Option<&std::path::Path>| {
        let root = root.map(|root| format!("&sslrootcert={}", root.display())).unwrap_or_default();
        format!("{url}?sslmode={mode}{root}")
    };
    let trusted = Some(root.as_path());

    assert_eq!(is_encrypted(&with(base, "disable", None)).await, Ok(false));
    assert_eq!(is_encrypted(&with(base, "prefer", None)).await, Ok(true));
    assert_eq!(is_encrypted(base).await, Ok(true), "prefer is the default");
    assert_eq!(is_encrypted(&with(base, "require", None)).await, Ok(true));
    assert_eq!(is_encrypted(&with(base, "verify-ca", trusted)).await, Ok(true), "the name is not checked");
    assert_eq!(is_encrypted(&with(&by_name, "verify-full", trusted)).await, Ok(true));
    for (what, url) in [
        ("another authority", with(base, "verify-ca", Some(&other))),
        ("another authority, by require with a file", with(base, "require", Some(&other))),
        ("another name", with(base, "verify-full", trusted)),
        ("another authority in full", with(&by_name, "verify-full", Some(&other))),
    ] {
        assert!(is_encrypted(&url).await.is_err(), "{what} was taken");
    }
    drop(cluster);
    Cluster::remove(&folder.path().join("cluster")).unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let urls = crate::harness::cluster::shared_urls();
    let plain = secrecy::ExposeSecret::expose_secret(&urls.runtime).split('?').next().unwrap().to_owned();
    assert_eq!(is_encrypted(&format!("{plain}?sslmode=prefer")).await, Ok(false));
    assert!(is_encrypted(&format!("{plain}?sslmode=require")).await.is_err());
}

/// Run as root, the server is another user, who must be able to read its key.
fn give_to_server(path: &std::path::Path) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let user = passwd.lines().find(|line| line.starts_with("postgres:"));
    let is_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    if let (true, Some(user)) = (is_root, user) {
        let fields: Vec<&str> = user.split(':').collect();
        std::os::unix::fs::chown(path, fields[2].parse().ok(), fields[3].parse().ok()).unwrap();
    }
}

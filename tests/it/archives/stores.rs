//! A store that speaks S3: a server over a folder, which checks signatures and takes uploads in parts.

use shelfwise::control::archives::ArchiveError;
use shelfwise::control::archives::service::{archive_make, archive_sweep, archive_verify};
use shelfwise::kernel::clock::SystemClock;

use super::{asked, exported, fill, restored};
use crate::harness::world::world_with;

const BUCKET: &str = "archives";
const KEY: &str = "AKIATESTS";
const SECRET: &str = "the-secret-of-the-tests";

/// A running server.
struct S3 {
    folder: tempfile::TempDir,
    url: String,
    server: tokio::task::JoinHandle<()>,
}

impl S3 {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(s3s::auth::SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let io = hyper_util::rt::TokioIo::new(socket);
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service.clone());
                tokio::spawn(connection);
            }
        });
        Self { folder, url, server }
    }

    fn settings<'a>(&'a self, secret: &'a str) -> [(&'static str, &'a str); 6] {
        [
            ("OBJECT_STORE_URL", "s3://archives/of/tests"),
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ]
    }

    /// Objects that are there, and parts of such that are not.
    fn objects(&self) -> Vec<String> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.path().join(BUCKET)]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.folder.path()).unwrap().display().to_string();
                if path.is_dir() { folders.push(path) } else { files.push(name) }
            }
        }
        files
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_live_in_a_bucket_as_they_do_in_a_folder() {
    let s3 = S3::start().await;
    world_with(&s3.settings(SECRET), async |world| {
        fill(world).await;
        let app = &world.app;
        // More than one part: rows that do not compress.
        let many = format!(
            r#"INSERT INTO "{}".trusted_documents SELECT encode(sha256(n::text::bytea), 'hex'),
               (SELECT string_agg(encode(sha256((n * 100 + k)::text::bytea), 'hex'), '') FROM generate_series(1, 16) k),
               now() FROM generate_series(1, 20000) n"#,
            world.a.schema
        );
        crate::harness::cluster::psql().await.batch_execute(&many).await.unwrap();
        let archive = exported(app, &world.a).await;
        assert!(archive.bytes.unwrap() > 8 << 20, "{:?}", archive.bytes);
        let objects = s3.objects();
        let key = format!("{BUCKET}/of/tests/{}", archive.object_key.as_deref().unwrap());
        assert!(objects.contains(&key), "{objects:?}");
        archive_verify(&app.objects, &app.services.vault, &archive).await.unwrap();
        let shop = restored(app, &archive).await;
        assert_eq!(exported(app, &shop).await.content_hash, archive.content_hash);

        let psql = crate::harness::cluster::psql().await;
        psql.execute("UPDATE control.archives SET expires_at = now() WHERE id = $1", &[&archive.id.0]).await.unwrap();
        archive_sweep(&app.control, &app.objects, &SystemClock).await.unwrap();
        assert!(!s3.objects().contains(&key), "{:?}", s3.objects());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_does_not_know_us_gets_nothing() {
    let s3 = S3::start().await;
    world_with(&s3.settings("another-secret"), async |world| {
        let app = &world.app;
        let id = asked(app, &world.a).await;
        let error = archive_make(app.archive_desk(), &app.config.retention, id).await.unwrap_err();
        let ArchiveError::Object(error) = error else { panic!("{error:?}") };
        assert!(!error.to_string().contains("another-secret"), "{error}");
        assert_eq!(s3.objects(), Vec::<String>::new());
    })
    .await;
}

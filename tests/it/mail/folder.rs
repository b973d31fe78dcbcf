//! Mail of a developer's machine.

use std::os::unix::fs::PermissionsExt as _;

use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::mail::folder::Folder;
use shelfwise::mail::letter::invitation;
use shelfwise::mail::{Mail, Mailer};

#[tokio::test]
async fn a_mail_is_a_file_that_its_owner_alone_reads_and_twice_the_same_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mail");
    let mailer = Mailer::into_folder(Folder::new(path.clone()), "ShelfWise <mail@localhost>".parse().unwrap());
    let shop = "acme".parse().unwrap();
    for link in ["http://localhost/#first", "http://localhost/#second"] {
        let letter = invitation("Acme", link.to_owned()).unwrap();
        let mail = Mail {
            id: "1.2".to_owned(),
            shop: Some(&shop),
            to: "ann@acme.example",
            reply_to: None,
            letter: &letter,
            at: SystemClock.now(),
        };
        mailer.send(&mail).await.unwrap();
    }
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [path.join("1.2.invitation.eml")]);
    assert_eq!(mode(&files[0]), 0o600);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("Message-ID: <1.2@localhost>") && text.contains("#second"), "{text}");
}

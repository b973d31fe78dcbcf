//! Mail of a developer's machine: a file for each, and a line at the terminal that says where it leads.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use lettre::Message;

use super::Mail;
use crate::kernel::tenant::TenantSlug;

/// A folder of mails that only its owner may read: their links let people in.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder of a path. It is made with the first mail.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes a mail into its file, in the place of the same mail before, and says so.
    pub(super) fn put(&self, mail: &Mail<'_>, message: &Message) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let path = self.path.join(format!("{}.{}.eml", mail.id, mail.letter.what));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&message.formatted())?;
        let link = mail.letter.link.clone().unwrap_or_else(|| path.display().to_string());
        let of = mail.shop.map_or("the platform", TenantSlug::as_str);
        writeln!(io::stdout(), "\n  Mail to {} of `{of}`: {}\n    {link}\n", mail.to, mail.letter.what)
    }
}

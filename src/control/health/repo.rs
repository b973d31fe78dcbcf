//! SQL of a look.

use diesel::sql_types::{Bool, Nullable, Text};

use crate::control::migrations::alive;
use crate::db::migrate::TENANT_VERSION_MIN;
use crate::db::statement::statement;
use crate::db::{ControlDb, DbError};

/// Which migrations the schemas have had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The control plane's newest.
    pub control: Option<String>,
    /// Whether there is a tenant that is older than this release works on.
    pub has_older: bool,
    /// Whether there is one that is not.
    pub has_suitable: bool,
}

statement!(
    /// Tells which migrations the schemas have had.
    Ask {
        min: &'static str => Text,
    } -> (Nullable<Text>, Bool, Bool) = concat!(
        "SELECT (SELECT max(version) FROM control.schema_versions),
            EXISTS (SELECT FROM control.tenants WHERE schema_version < {} AND ", alive!(), "),
            EXISTS (SELECT FROM control.tenants WHERE schema_version >= $1 AND ", alive!(), ")"
    )
);

/// Which migrations the schemas have had; nothing where the database has no answer.
pub async fn standing(control: &ControlDb) -> Result<Option<Standing>, DbError> {
    let rows: Vec<(Option<String>, bool, bool)> = control.load(Ask { min: TENANT_VERSION_MIN }).await?;
    let standing = |(control, has_older, has_suitable)| Standing { control, has_older, has_suitable };
    Ok(rows.into_iter().next().map(standing))
}

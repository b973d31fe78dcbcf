//! Drift at the edge.

use async_graphql::{Context, Object, SimpleObject};

use super::Comparison;
use crate::control::tenants::service::tenant_by_slug;
use crate::db::catalogue::Difference;
use crate::graphql::access::{access, signed_in};
use crate::graphql::{AdminRequest, ApiResult};

/// An object of a tenant's schema that is not what the migrations make.
#[derive(SimpleObject)]
pub struct SchemaDifference {
    /// The kind of the object: relation, column, constraint, index, trigger, policy, view, function, type, grant or
    /// migration.
    kind: String,
    /// The object's name within the schema, as `books.title`.
    name: String,
    /// The definition that the migrations make; null if they make no such object.
    expected: Option<String>,
    /// The definition that is there; null if it is missing.
    found: Option<String>,
}

impl From<Difference> for SchemaDifference {
    fn from(Difference { kind, name, expected, found }: Difference) -> Self {
        Self { kind, name, expected, found }
    }
}

/// Queries about drift.
#[derive(Default)]
pub struct DriftQuery;

#[Object]
impl DriftQuery {
    /// Lists the differences of a tenant's schema from what the migrations up to its version make; null if there is no
    /// tenant.
    #[graphql(directive = access::apply(signed_in()), complexity = "500 + child_complexity")]
    async fn tenant_drift(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<Vec<SchemaDifference>>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let owner = request.owner()?;
        let Some(tenant) = tenant_by_slug(&request.control, &slug).await? else { return Ok(None) };
        let found = Comparison::new(owner, request.clock()).differences(&tenant).await?;
        Ok(Some(found.into_iter().map(SchemaDifference::from).collect()))
    }
}

//! What each root field asks of its caller, said in the schema: `@access(requires: "catalog.read")`.
//!
//! The directive documents; services decide. A test calls every field as somebody who has everything but what it names,
//! and as somebody who has nothing else, so that the two cannot part.

// The macro makes an undocumented module of the function's name.
#![expect(missing_docs, reason = "the directive's documentation is the module's")]

use async_graphql::TypeDirective;

use crate::kernel::actor::Permission;

/// The requirement that a caller must meet: the name of a permission, `signed-in`, or `public`.
#[TypeDirective(location = "FieldDefinition")]
pub fn access(requires: String) {}

/// A permission is needed.
#[must_use]
pub fn needs(permission: Permission) -> String {
    permission.as_str().to_owned()
}

/// Any valid credential is needed.
#[must_use]
pub fn signed_in() -> String {
    "signed-in".to_owned()
}

/// Nothing is needed: it is how one gets in.
#[must_use]
pub fn public() -> String {
    "public".to_owned()
}

//! A walk over the schemas: every root field says what it asks of its caller, asks exactly that, and what is refused
//! writes nothing.

use std::collections::BTreeMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputObjectType, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};
use serde_json::json;
use shelfwise::cli::schema::{admin_sdl, tenant_sdl};
use shelfwise::kernel::actor::Permission;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::base32_encode;

use super::{PASSWORD, holder, joined, login, visitor};
use crate::harness::socket::Socket;
use crate::harness::world::fingerprint;
use crate::harness::{Client, GqlResponse, World, world};

/// A schema's root fields, each with what it asks for, and its input types.
struct Roots {
    fields: Vec<(&'static str, FieldDefinition)>,
    inputs: BTreeMap<String, InputObjectType>,
    enums: BTreeMap<String, String>,
}

impl Roots {
    fn of(sdl: &str) -> Self {
        let (mut fields, mut inputs, mut enums) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for definition in parse_schema(sdl).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match (name.as_str(), definition.node.kind) {
                ("Query", TypeKind::Object(object)) => {
                    fields.extend(object.fields.into_iter().map(|f| ("query", f.node)));
                }
                ("Mutation", TypeKind::Object(object)) => {
                    fields.extend(object.fields.into_iter().map(|f| ("mutation", f.node)));
                }
                ("Subscription", TypeKind::Object(object)) => {
                    fields.extend(object.fields.into_iter().map(|f| ("subscription", f.node)));
                }
                (_, TypeKind::InputObject(input)) => drop(inputs.insert(name, input)),
                (_, TypeKind::Enum(values)) => drop(enums.insert(name, values.values[0].node.value.node.to_string())),
                _ => {}
            }
        }
        Self { fields, inputs, enums }
    }

    /// What a field asks for, by its directive.
    fn access(field: &FieldDefinition) -> String {
        let directive = field.directives.iter().find(|directive| directive.node.name.node == "access");
        let directive = directive.unwrap_or_else(|| panic!("{} does not say what it asks for", field.name.node));
        directive.node.get_argument("requires").unwrap().node.to_string().trim_matches('"').to_owned()
    }

    /// An operation with this field alone that is valid, whatever it is worth.
    fn operation(&self, kind: &str, field: &FieldDefinition) -> String {
        let name = field.name.node.as_str();
        let mut arguments: Vec<String> = field.arguments.iter().filter_map(|a| self.argument(name, &a.node)).collect();
        // About something that nobody has, a subscription has one thing to say and ends.
        if kind == "subscription" && arguments.is_empty() {
            let of =
                field.arguments.iter().map(|argument| argument.node.name.node.as_str()).find(|n| n.ends_with("Id"));
            arguments.extend(of.map(|argument| format!("{argument}: \"{}\"", id(name, argument))));
        }
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        format!("{kind} {{ {name}{arguments} {{ __typename }} }}")
    }

    fn argument(&self, of: &str, argument: &InputValueDefinition) -> Option<String> {
        let is_required = !argument.ty.node.nullable && argument.default_value.is_none();
        let name = argument.name.node.as_str();
        is_required.then(|| format!("{name}: {}", self.value(of, name, &argument.ty.node)))
    }

    fn value(&self, of: &str, name: &str, ty: &Type) -> String {
        let ty = match &ty.base {
            BaseType::List(inner) => return format!("[{}]", self.value(of, name, inner)),
            BaseType::Named(ty) => ty.as_str(),
        };
        match ty {
            "ID" => format!("\"{}\"", id(of, name)),
            "Int" | "JSON" => "1".to_owned(),
            "Boolean" => "true".to_owned(),
            "String" => "\"x\"".to_owned(),
            "Date" => "\"2026-03-01\"".to_owned(),
            "DateTime" => "\"2026-03-01T00:00:00Z\"".to_owned(),
            other if self.enums.contains_key(other) => self.enums[other].clone(),
            other => {
                let fields: Vec<String> =
                    self.inputs[other].fields.iter().filter_map(|field| self.argument(of, &field.node)).collect();
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }
}

/// An id that nobody has, of the type that a field or argument is about.
fn id(field: &str, argument: &str) -> String {
    let prefixes = ["apiKey", "author", "book", "category", "delivery", "endpoint", "import", "order", "role", "user"];
    let about = if argument == "id" { field.trim_start_matches("webhook") } else { argument };
    let about = about.to_lowercase();
    let prefix = prefixes.into_iter().find(|prefix| about.starts_with(&prefix.to_lowercase())).unwrap_or("book");
    format!("{}_{}", prefix.to_lowercase(), base32_encode(SystemClock.new_id()))
}

/// The first answer to an operation.
async fn answer(client: &Client<'_>, kind: &str, operation: &str) -> GqlResponse {
    if kind != "subscription" {
        return client.gql(operation, json!({})).await;
    }
    let (status, events) = client.events(operation, json!({})).await;
    GqlResponse { status, headers: Default::default(), body: events[0].clone() }
}

/// A program of the owner's that may do these things.
async fn program<'a>(world: &'a World, permissions: &[Permission]) -> Client<'a> {
    let names: Vec<String> = permissions.iter().map(|p| p.as_str().replace('.', "_").to_uppercase()).collect();
    let query = "mutation($permissions: [Permission!]!) {
        apiKeyCreate(input: { name: \"Walk\", permissions: $permissions }) { secret userErrors { code } } }";
    let data = world.owner().data(query, json!({ "permissions": names })).await;
    let client = world.stranger().with_token(data["apiKeyCreate"]["secret"].as_str().unwrap());
    // The first use is noted in the key's row; later ones are not, for a minute.
    client.data("{ viewer { permissions } }", json!({})).await;
    client
}

#[tokio::test]
async fn every_field_asks_exactly_for_what_it_says() {
    world(async |world| {
        let roots = Roots::of(&tenant_sdl());
        let mut all_but = BTreeMap::new();
        let mut only = BTreeMap::new();
        for permission in Permission::ALL {
            let others: Vec<Permission> = Permission::ALL.into_iter().filter(|other| *other != permission).collect();
            all_but.insert(permission.as_str(), program(world, &others).await);
            only.insert(permission.as_str(), program(world, &[permission]).await);
        }
        joined(world, "ann@acme.example", "Owner").await;
        let stranger = visitor(world, &world.a);
        for (kind, field) in &roots.fields {
            let (access, operation) = (Roots::access(field), roots.operation(kind, field));
            let before = fingerprint(&world.a).await;
            let refused = async |client: &Client<'_>, code: &str| {
                let response = answer(client, kind, &operation).await;
                assert_eq!(response.code(), code, "{operation}: {}", response.body);
                assert_eq!(fingerprint(&world.a).await, before, "{operation} was refused and wrote");
            };
            let admitted = async |client: &Client<'_>| {
                let response = answer(client, kind, &operation).await;
                assert!(!["UNAUTHENTICATED", "FORBIDDEN"].contains(&response.code()), "{operation}: {}", response.body);
                assert_ne!(response.status, 400, "{operation}: {}", response.body);
            };
            match access.as_str() {
                "public" => admitted(&stranger).await,
                "signed-in" => {
                    refused(&stranger, "UNAUTHENTICATED").await;
                    // A log-in of its own for each: one of them ends it.
                    admitted(&holder(world, &login(world, "ann@acme.example", PASSWORD).await["session"])).await;
                }
                permission => {
                    refused(&stranger, "UNAUTHENTICATED").await;
                    let without = all_but.get(permission).unwrap_or_else(|| panic!("{permission} is no permission"));
                    refused(without, "FORBIDDEN").await;
                    admitted(&only[permission]).await;
                }
            }
        }
    })
    .await;
}

/// A subscription of operators is asked for over a socket, which lets in nobody else.
async fn shut_to(world: &World, access: &str) {
    assert_eq!(access, "signed-in");
    for token in ["nonsense".to_owned(), world.owner_token()] {
        let headers = [("sec-websocket-protocol", "graphql-transport-ws")];
        let mut socket = Socket::open(world, "/admin/graphql/ws", &headers).await;
        socket.init(&token).await;
        assert_eq!(socket.closed().await.0, 4403);
    }
}

#[tokio::test]
async fn the_operators_api_is_shut_to_strangers_and_tenants() {
    world(async |world| {
        let roots = Roots::of(&admin_sdl());
        let stranger = Client::new(world, "/admin/graphql", None);
        for (kind, field) in &roots.fields {
            let operation = roots.operation(kind, field);
            if *kind == "subscription" {
                shut_to(world, &Roots::access(field)).await;
                continue;
            }
            let response = stranger.gql(&operation, json!({})).await;
            if Roots::access(field) == "public" {
                assert_ne!(response.code(), "UNAUTHENTICATED", "{operation}");
            } else {
                assert_eq!(Roots::access(field), "signed-in", "{operation}");
                assert_eq!(response.code(), "UNAUTHENTICATED", "{operation}: {}", response.body);
            }
            let owner =
                world.token(&crate::harness::world::user_claims(&world.a, shelfwise::kernel::actor::Role::Owner));
            let tenant = Client::new(world, "/admin/graphql", Some(owner));
            tenant.gql(&operation, json!({})).await.assert_refused(401, "UNAUTHENTICATED");
        }
    })
    .await;
}

//! A walk over the mutations: each leaves one entry in the trail, and what changes nothing leaves none.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{FieldDefinition, TypeKind, TypeSystemDefinition};
use serde_json::json;
use shelfwise::cli::schema::tenant_sdl;
use shelfwise::kernel::actor::Role;
use shelfwise::tenant::identity::links::service::Purpose;

use super::{Row, rows};
use crate::harness::world::{user_id, world_with};
use crate::harness::{Client, GqlResponse, World, world};
use crate::identity::{PASSWORD, link, role_id, visitor};
use crate::orders::make_paid;
use crate::webhooks::delivery_insert;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The shop's owner, by an operator's token.
    Owner,
    /// Somebody who knows the shop's address and nothing else.
    Visitor,
    /// Whoever has logged in last.
    Holder,
}

use Who::{Holder, Owner, Visitor};

/// Every mutation once, in an order in which each succeeds: who calls, what the trail calls it, the type of its entity, and
/// the field. `$name` stands for what an earlier answer has told. A mutation of the schema that is not here fails the test.
const STEPS: &[(Who, &str, &str, &str)] = &[
    (Owner, "author.create", "author", "authorCreate(input: { name: \"Ann\" }) { e: author { id }"),
    (
        Owner,
        "author.update",
        "author",
        "authorUpdate(id: \"$author\", version: 1, input: { name: \"Anne\" }) { e: author { id }",
    ),
    (Owner, "author.archive", "author", "authorArchive(id: \"$author\") { e: author { id }"),
    (Owner, "author.unarchive", "author", "authorUnarchive(id: \"$author\") { e: author { id }"),
    (Owner, "category.create", "category", "categoryCreate(input: { name: \"Shelf\" }) { e: category { id }"),
    (
        Owner,
        "category.update",
        "category",
        "categoryUpdate(id: \"$category\", version: 1, input: { name: \"Shelves\" }) { e: category { id }",
    ),
    (Owner, "category.archive", "category", "categoryArchive(id: \"$category\") { e: category { id }"),
    (Owner, "category.unarchive", "category", "categoryUnarchive(id: \"$category\") { e: category { id }"),
    (
        Owner,
        "book.create",
        "book",
        "bookCreate(input: { title: \"Emma\", authorIds: [\"$author\"], stock: 3,
            price: { amount: \"10\", currency: \"EUR\" } }) { e: book { id }",
    ),
    (
        Owner,
        "book.update",
        "book",
        "bookUpdate(id: \"$book\", version: 1, input: { title: \"Emma, a novel\" }) { e: book { id }",
    ),
    (Owner, "book.archive", "book", "bookArchive(id: \"$book\") { e: book { id }"),
    (Owner, "book.unarchive", "book", "bookUnarchive(id: \"$book\") { e: book { id }"),
    (
        Owner,
        "book.import",
        "import",
        "bookImport(input: { csv: \"title,authors\\nPersuasion,Jane Austen\\n\" }) { e: import { id }",
    ),
    (
        Owner,
        "order.create",
        "order",
        "orderCreate(input: { customer: { name: \"Eve\", email: \"eve@customers.example\" } }) { e: order { id }",
    ),
    (
        Owner,
        "order.line_set",
        "order",
        "orderLineSet(id: \"$order\", bookId: \"$book\", quantity: 2) { e: order { id }",
    ),
    (Owner, "order.place", "order", "orderPlace(id: \"$order\") { e: order { id }"),
    // What comes of it is a payment; a job takes it on, and the order is paid by that.
    (Owner, "order.pay", "payment", "orderPay(id: \"$order\") { order { id }"),
    (Owner, "order.fulfill", "order", "orderFulfill(id: \"$paid\") { e: order { id }"),
    (Owner, "order.deliver", "order", "orderDeliver(id: \"$order\") { e: order { id }"),
    (Owner, "order.refund", "order", "orderRefund(id: \"$order\", isReturned: true) { e: order { id }"),
    (
        Owner,
        "order.create",
        "order",
        "orderCreate(input: { customer: { name: \"Eve\", email: \"eve@customers.example\" } }) { e: order { id }",
    ),
    (Owner, "order.cancel", "order", "orderCancel(id: \"$order\", reason: OUT_OF_STOCK) { e: order { id }"),
    (Owner, "customer.erase", "customer", "customerErase(email: \"eve@customers.example\") {"),
    (Owner, "setting.update", "setting", "settingUpdate(name: CATALOG_STOCK_LOW, value: 5) {"),
    (Owner, "setting.reset", "setting", "settingReset(name: CATALOG_STOCK_LOW) {"),
    (
        Owner,
        "role.create",
        "role",
        "roleCreate(input: { name: \"Packer\", permissions: [CATALOG_READ] }) { e: role { id }",
    ),
    (
        Owner,
        "role.update",
        "role",
        "roleUpdate(id: \"$role\", version: 1, input: { name: \"Packers\" }) { e: role { id }",
    ),
    (Owner, "role.delete", "role", "roleDelete(id: \"$role\") { e: role { id }"),
    (
        Owner,
        "api_key.create",
        "apikey",
        "apiKeyCreate(input: { name: \"Till\", permissions: [CATALOG_READ] }) { e: apiKey { id }",
    ),
    (Owner, "api_key.rotate", "apikey", "apiKeyRotate(id: \"$apikey\") { e: apiKey { id }"),
    (Owner, "api_key.revoke", "apikey", "apiKeyRevoke(id: \"$apikey\") { e: apiKey { id }"),
    (
        Owner,
        "identity_provider.set",
        "idp",
        "identityProviderSet(input: { issuer: \"https://login.example\", jwksUrl: \"https://login.example/keys\", \
         audience: \"acme\" }) { e: identityProvider { id }",
    ),
    (Owner, "identity_provider.remove", "idp", "identityProviderRemove {"),
    (
        Owner,
        "user.invite",
        "user",
        "userInvite(input: { email: \"ann@acme.example\", name: \"Ann\", roleIds: [\"$clerk\"] }) { e: user { id }",
    ),
    (Owner, "user.reinvite", "user", "userReinvite(id: \"$user\") { e: user { id }"),
    (
        Visitor,
        "link.use",
        "user",
        "invitationAccept(input: { token: \"$invitation\", password: \"correct horse battery\" }) {
            session { accessToken refreshToken }",
    ),
    (
        Visitor,
        "session.login",
        "user",
        "login(input: { email: \"ann@acme.example\", password: \"correct horse battery\" }) {
            session { accessToken refreshToken }",
    ),
    (
        Visitor,
        "session.refresh",
        "session",
        "tokenRefresh(input: { refreshToken: \"$refreshToken\" }) { session { accessToken refreshToken }",
    ),
    (
        Holder,
        "password.change",
        "user",
        "passwordChange(input: { currentPassword: \"correct horse battery\", newPassword: \"staple battery horse\" }) {",
    ),
    // Whether somebody has the address is found out by the job that mails, so there is nobody to name: nothing is written.
    (Visitor, "", "", "passwordResetRequest(input: { email: \"ann@acme.example\" }) {"),
    (
        Visitor,
        "link.use",
        "user",
        "passwordResetConfirm(input: { token: \"$reset\", password: \"correct horse battery\" }) {
            session { accessToken refreshToken }",
    ),
    (Holder, "session.logout", "user", "logout {"),
    (
        Owner,
        "user.update",
        "user",
        "userUpdate(id: \"$user\", version: $version, input: { name: \"Anne\" }) { e: user { id }",
    ),
    (Owner, "user.disable", "user", "userDisable(id: \"$user\") { e: user { id }"),
    (Owner, "user.enable", "user", "userEnable(id: \"$user\") { e: user { id }"),
    (
        Owner,
        "webhook_endpoint.create",
        "endpoint",
        "webhookEndpointCreate(input: { url: \"https://hooks.example/\" }) { e: webhookEndpoint { id }",
    ),
    (
        Owner,
        "webhook_endpoint.update",
        "endpoint",
        "webhookEndpointUpdate(id: \"$endpoint\", version: 1, input: { description: \"x\" }) { e: webhookEndpoint { id }",
    ),
    (
        Owner,
        "webhook_endpoint.rotate_secret",
        "endpoint",
        "webhookEndpointRotateSecret(id: \"$endpoint\") { e: webhookEndpoint { id }",
    ),
    (Owner, "webhook_endpoint.test", "endpoint", "webhookEndpointTest(id: \"$endpoint\") { e: webhookEndpoint { id }"),
    (
        Owner,
        "webhook_delivery.replay",
        "delivery",
        "webhookDeliveryReplay(id: \"$delivery\") { e: webhookDelivery { id }",
    ),
    (
        Owner,
        "webhook_endpoint.replay",
        "endpoint",
        "webhookDeliveriesReplay(input: { endpointId: \"$endpoint\" }) { e: webhookEndpoint { id }",
    ),
    (
        Owner,
        "webhook_endpoint.suspend",
        "endpoint",
        "webhookEndpointSuspend(id: \"$endpoint\", reason: \"x\") { e: webhookEndpoint { id }",
    ),
    (
        Owner,
        "webhook_endpoint.disable",
        "endpoint",
        "webhookEndpointDisable(id: \"$endpoint\", reason: \"x\") { e: webhookEndpoint { id }",
    ),
    (
        Owner,
        "webhook_endpoint.resume",
        "endpoint",
        "webhookEndpointResume(id: \"$endpoint\") { e: webhookEndpoint { id }",
    ),
    (Owner, "webhook_endpoint.delete", "endpoint", "webhookEndpointDelete(id: \"$endpoint\") {"),
];

/// Every mutation of the schema, and whether it takes a key by which it may be repeated.
fn mutations() -> BTreeMap<String, bool> {
    let mut mutations = BTreeMap::new();
    for definition in parse_schema(tenant_sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = definition.node.kind else { continue };
        if definition.node.name.node != "Mutation" {
            continue;
        }
        mutations.extend(object.fields.into_iter().map(|field| {
            let FieldDefinition { name, arguments, .. } = field.node;
            let takes_key = arguments.iter().any(|argument| argument.node.name.node == "idempotencyKey");
            (name.node.to_string(), takes_key)
        }));
    }
    mutations
}

/// The mutation that a step calls.
fn name(field: &str) -> &str {
    field.split(['(', ' ']).next().unwrap()
}

#[test]
fn every_mutation_is_walked() {
    let walked: BTreeSet<String> = STEPS.iter().map(|(_, _, _, field)| name(field).to_owned()).collect();
    assert_eq!(mutations().into_keys().collect::<BTreeSet<_>>(), walked);
}

/// What answers have told so far.
struct Known<'a> {
    world: &'a World,
    values: BTreeMap<String, String>,
}

impl<'a> Known<'a> {
    async fn new(world: &'a World) -> Self {
        let clerk = role_id(&world.owner(), "Clerk").await;
        Self { world, values: BTreeMap::from([("clerk".to_owned(), clerk)]) }
    }

    /// A client of somebody.
    fn client(&self, who: Who) -> Client<'a> {
        match who {
            Owner => self.world.owner(),
            Visitor => visitor(self.world, &self.world.a),
            Holder => self.world.stranger().with_token(&self.values["accessToken"]),
        }
    }

    /// Whom and which credential the trail must name.
    fn actor(&self, who: Who) -> (String, Option<&'static str>) {
        match who {
            Owner => (user_id(&self.world.a, Role::Owner).to_string(), Some("operator")),
            Visitor => ("anonymous".to_owned(), None),
            Holder => (self.values["user"].clone(), Some("session_")),
        }
    }

    /// An operation with what is known put in.
    async fn operation(&mut self, field: &str) -> String {
        for (word, purpose) in [("invitation", Purpose::Invitation), ("reset", Purpose::PasswordReset)] {
            if field.contains(&format!("${word}")) {
                let token = link(self.world, &self.world.a, purpose, "ann@acme.example").await.unwrap();
                self.values.insert(word.to_owned(), token);
            }
        }
        if field.contains("$paid") {
            // In the stead of the job.
            let order = self.values["order"].clone();
            make_paid(&self.world.a, &order).await;
            self.values.insert("paid".to_owned(), order);
        }
        if field.contains("$delivery") {
            // In the stead of the worker.
            let delivery = delivery_insert(&self.world.a, &self.values["endpoint"]).await;
            self.values.insert("delivery".to_owned(), delivery);
        }
        if field.contains("$version") {
            let query = "query($id: ID!) { user(id: $id) { version } }";
            let user = self.world.owner().data(query, json!({ "id": self.values["user"] })).await;
            self.values.insert("version".to_owned(), user["user"]["version"].to_string());
        }
        let mut operation = format!("mutation {{ r: {field} userErrors {{ code message path }} }} }}");
        // The longest names first: one may begin with another.
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in values {
            operation = operation.replace(&format!("${name}"), value);
        }
        operation
    }

    /// Remembers what an answer tells.
    fn learn(&mut self, entity: &str, answer: &GqlResponse) {
        for (name, pointer) in [
            (entity, "/r/e/id"),
            ("accessToken", "/r/session/accessToken"),
            ("refreshToken", "/r/session/refreshToken"),
        ] {
            if let Some(text) = answer[pointer].as_str() {
                self.values.insert(name.to_owned(), text.to_owned());
            }
        }
    }

    /// Checks that an entry tells who did what to whom, and how they came.
    fn check(&self, row: &Row, (who, action, entity): (Who, &str, &str), request_id: &str) {
        let (actor, via) = self.actor(who);
        assert_eq!((row.actor.as_str(), row.action.as_str()), (actor.as_str(), action));
        assert_eq!(row.via.is_some(), via.is_some(), "{row:?}");
        assert!(row.via.as_deref().unwrap_or_default().starts_with(via.unwrap_or_default()), "{row:?}");
        assert!(row.entity.starts_with(&format!("{entity}_")), "{row:?}");
        if let Some(known) = self.values.get(entity) {
            assert_eq!(&row.entity, known, "{row:?}");
        }
        assert_eq!(row.request_id.as_deref(), Some(request_id));
        assert_eq!(row.address.as_deref(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn every_change_leaves_one_entry_and_its_repetition_none() {
    world_with(&[("PAYMENT_URL", "simulator:")], async |world| {
        let (takes_key, mut known) = (mutations(), Known::new(world).await);
        for (index, (who, action, entity, field)) in STEPS.iter().enumerate() {
            let before = rows(&world.a).await.len();
            let operation = known.operation(field).await;
            let request_id = format!("walk-{index}");
            let client = known.client(*who).with_header("x-request-id", &request_id);
            let client =
                if takes_key[name(field)] { client.with_header("idempotency-key", &request_id) } else { client };

            let answer = client.gql(&operation, json!({})).await;

            assert_eq!(answer["/r/userErrors"], json!([]), "{operation}: {}", answer.body);
            known.learn(entity, &answer);
            let new = rows(&world.a).await.split_off(before);
            assert_eq!(new.len(), usize::from(!action.is_empty()), "{operation}: {new:?}");
            for row in &new {
                known.check(row, (*who, action, entity), &request_id);
                assert_eq!(row.sequence, i64::try_from(before).unwrap() + 1, "numbers have no gaps");
            }
            if takes_key[name(field)] {
                let again = client.gql(&operation, json!({})).await;
                assert_eq!(again.body["extensions"]["idempotency"]["replayed"], json!(["r"]), "{operation}");
                assert_eq!(rows(&world.a).await.len(), before + new.len(), "{operation}");
            }
        }
        assert_eq!(PASSWORD, "correct horse battery", "the table says it");
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_leaves_no_entry() {
    world(async |world| {
        let nobody = "01h455vb4pex5vsknk084sn02q";
        let refused = [
            "authorCreate(input: { name: \" \" })".to_owned(),
            format!("authorUpdate(id: \"author_{nobody}\", version: 1, input: {{ name: \"Anne\" }})"),
            format!("categoryArchive(id: \"category_{nobody}\")"),
            "bookCreate(input: { title: \" \", authorIds: [] })".to_owned(),
            format!("bookUpdate(id: \"book_{nobody}\", version: 1, input: {{ title: \"Emma\" }})"),
            "bookImport(input: { csv: \"no\\ntitles\\n\" })".to_owned(),
            "orderCreate(input: { customer: { name: \" \", email: \"x\" } })".to_owned(),
            format!("orderPlace(id: \"order_{nobody}\")"),
            "customerErase(email: \"nobody@customers.example\")".to_owned(),
            format!("roleDelete(id: \"role_{nobody}\")"),
            format!("apiKeyRotate(id: \"apikey_{nobody}\")"),
            "identityProviderSet(input: { issuer: \"x\", jwksUrl: \"y\", audience: \"z\" })".to_owned(),
            "identityProviderRemove".to_owned(),
            "userInvite(input: { email: \"x\", name: \"X\", roleIds: [] })".to_owned(),
            format!("userDisable(id: \"user_{nobody}\")"),
            "login(input: { email: \"clerk@test.example\", password: \"a wrong password\" })".to_owned(),
            "tokenRefresh(input: { refreshToken: \"x\" })".to_owned(),
            "passwordChange(input: { currentPassword: \"a wrong password\", newPassword: \"another password\" })"
                .to_owned(),
        ];
        for field in &refused {
            let operation = format!("mutation {{ r: {field} {{ userErrors {{ code }} }} }}");
            // With a key the refusal itself is kept, and its effect taken back.
            let keyed = world.owner().with_header("idempotency-key", field.split('(').next().unwrap());
            for client in [keyed, world.owner()] {
                let answer = client.gql(&operation, json!({})).await;
                assert_ne!(answer["/r/userErrors"], json!([]), "{operation}: {}", answer.body);
                assert_eq!(answer.code(), "", "{operation}: {}", answer.body);
            }
        }
        let clerk = world.user(&world.a, Role::Clerk);
        let answer = clerk.gql("mutation { identityProviderRemove { userErrors { code } } }", json!({})).await;
        assert_eq!(answer.code(), "FORBIDDEN");
        assert_eq!(rows(&world.a).await, []);
    })
    .await;
}

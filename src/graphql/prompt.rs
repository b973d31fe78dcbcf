//! Objects that answer their plain fields in place.

use std::borrow::Cow;

use async_graphql::futures_util::FutureExt as _;
use async_graphql::futures_util::future::join_all;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_container;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, Positioned, ServerResult, Value,
};

/// Selections of an object that are looked at one by one; whoever asks for more is answered as the library does it.
const FIELDS_MAX: usize = 32;

/// An object whose fields without selections are mostly at hand, and are answered where they stand.
///
/// Each of them is asked once, one after another; those that have to wait do so together with the fields that have selections,
/// so that their loads meet in a batch. The library puts a future of each field into a set that wakes each by itself: for a title
/// that is in memory, many times what it costs to copy it. The answer is the same, in the order in which it was asked for.
#[derive(Debug, Clone)]
pub struct Prompt<T>(pub T);

impl<T: ObjectType> ContainerType for Prompt<T> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }
}

impl<T: ObjectType> ObjectType for Prompt<T> {}

impl<T: ObjectType> OutputType for Prompt<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        let Some(fields) = plain_fields(&ctx.item.node.items) else { return resolve_container(ctx, &self.0).await };
        let mut answers = Vec::with_capacity(fields.len());
        let mut waiting = Vec::new();
        for (place, field) in fields.iter().enumerate() {
            let mut asked = async move { self.0.resolve_field(&ctx.with_field(field)).await }.boxed();
            let is_leaf = field.node.selection_set.node.items.is_empty();
            // With a waker that wakes nobody, for whoever is not ready is asked again below.
            let answer = if is_leaf { (&mut asked).now_or_never() } else { None };
            if answer.is_none() {
                waiting.push(asked.map(move |answer| (place, answer)));
            }
            answers.push(answer);
        }
        for (place, answer) in join_all(waiting).await {
            answers[place] = Some(answer);
        }
        let mut object = IndexMap::with_capacity(fields.len());
        for (field, answer) in fields.into_iter().zip(answers.into_iter().flatten()) {
            match answer {
                Ok(value) => drop(object.insert(field.node.response_key().node.clone(), value.unwrap_or_default())),
                Err(error) => ctx.add_error(error),
            }
        }
        Ok(if object.is_empty() { Value::Null } else { Value::Object(object) })
    }
}

/// The fields of a selection that has nothing but fields of the object, each by a name of its own.
fn plain_fields(selections: &[Positioned<Selection>]) -> Option<Vec<&Positioned<Field>>> {
    if selections.len() > FIELDS_MAX {
        return None;
    }
    let mut fields: Vec<&Positioned<Field>> = Vec::with_capacity(selections.len());
    for selection in selections {
        let Selection::Field(field) = &selection.node else { return None };
        let key = &field.node.response_key().node;
        let is_known = fields.iter().any(|other| other.node.response_key().node == *key);
        if is_known || !field.node.directives.is_empty() || field.node.name.node == "__typename" {
            return None;
        }
        fields.push(field);
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    use super::*;

    /// An object with fields of every kind.
    struct Thing;

    #[Object]
    impl Thing {
        async fn name(&self) -> &str {
            "thing"
        }

        async fn number(&self, #[graphql(default = 7)] of: i32) -> i32 {
            of
        }

        async fn slow(&self, ctx: &Context<'_>) -> i32 {
            ctx.data_unchecked::<AtomicUsize>().fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            1
        }

        async fn broken(&self) -> async_graphql::Result<i32> {
            Err("broken".into())
        }

        async fn broken_or_null(&self) -> async_graphql::Result<Option<i32>> {
            Err("broken or null".into())
        }

        async fn within(&self) -> Prompt<Thing> {
            Prompt(Thing)
        }

        async fn broken_within(&self) -> async_graphql::Result<Prompt<Thing>> {
            Err("broken within".into())
        }

        async fn several(&self) -> Vec<Prompt<Thing>> {
            vec![Prompt(Thing), Prompt(Thing)]
        }
    }

    /// The same thing, answered by the library and in place.
    struct Root;

    #[Object]
    impl Root {
        async fn library(&self) -> Thing {
            Thing
        }

        async fn prompt(&self) -> Prompt<Thing> {
            Prompt(Thing)
        }
    }

    fn schema() -> Schema<Root, EmptyMutation, EmptySubscription> {
        Schema::build(Root, EmptyMutation, EmptySubscription).data(AtomicUsize::new(0)).finish()
    }

    async fn answers(selection: &str) -> [(serde_json::Value, Vec<String>); 2] {
        let schema = schema();
        let answer = async |root: &str| {
            let response =
                schema.execute(format!("{{ it: {root} {selection} }} fragment F on Thing {{ number }}")).await;
            let mut errors: Vec<String> =
                response.errors.iter().map(|e| format!("{} {:?}", e.message, e.path)).collect();
            errors.sort();
            (response.data.into_json().unwrap(), errors)
        };
        [answer("library").await, answer("prompt").await]
    }

    #[tokio::test]
    async fn answers_are_those_of_the_library() {
        let many = (0..=FIELDS_MAX).map(|n| format!("n{n}: number(of: {n}) ")).collect::<String>();
        for selection in [
            "{ name number slow } ",
            "{ slow within { name } number(of: 3) }",
            "{ name broken number }",
            "{ broken }",
            "{ brokenOrNull within { broken } }",
            "{ brokenWithin { name } name }",
            "{ several { slow within { several { name broken } } } }",
            "{ __typename name }",
            "{ name ...F ... on Thing { slow } }",
            "{ name @include(if: false) slow @skip(if: false) }",
            "{ within { name } within { number } name name }",
            "{ a: within { name } b: within { number } name: number }",
            &format!("{{ {many} }}"),
        ] {
            let [library, prompt] = answers(selection).await;
            assert_eq!(prompt, library, "{selection}");
        }
    }

    #[tokio::test]
    async fn answers_come_in_the_order_in_which_they_were_asked_for() {
        let schema = schema();
        let response = schema.execute("{ prompt { within { slow name } slow name number } }").await;
        let text = serde_json::to_string(&response.data).unwrap();
        assert_eq!(text, r#"{"prompt":{"within":{"slow":1,"name":"thing"},"slow":1,"name":"thing","number":7}}"#);
    }

    #[tokio::test]
    async fn a_field_that_has_to_wait_is_asked_once() {
        let schema = schema();
        let response = schema.execute("{ prompt { slow several { slow } } }").await;
        assert!(response.is_ok());
        assert_eq!(schema.data::<AtomicUsize>().unwrap().load(Ordering::Relaxed), 3);
    }
}

//! Settings and flags: what shops and operators set, what it comes to, and what it does.

mod command;
mod effects;
mod first;
mod flags;
mod operators;
mod secret;
mod shop;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::cluster::{own_database, psql, psql_of};
use crate::harness::{Client, World};

/// What "within a second everywhere" allows, and as much again for a slow machine.
const WITHIN: Duration = Duration::from_secs(2);

/// What is asked of a setting.
const SETTING: &str = "name type value isSet source defaultValue isOwn updatedAt viewerCanChange";

/// Two servers over the same two shops, in a database of their own: for what is set for all.
struct Replicas {
    one: World,
    two: World,
    psql: tokio_postgres::Client,
}

impl Replicas {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (name, urls) = own_database().await;
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let (runtime, owner) = (urls.runtime.expose_secret(), urls.owner.as_ref().unwrap().expose_secret());
        let all = [settings, &[("DATABASE_URL", runtime), ("DATABASE_OWNER_URL", owner)]].concat();
        let one = World::start(&all).await;
        let two = World::beside_with(&one, &all).await;
        Self { one, two, psql: psql_of(&name).await }
    }

    async fn end(self) {
        for world in [self.one, self.two] {
            world.assert_nothing_borrowed().await;
            world.end().await;
        }
    }
}

/// Asks until the answer is the wanted one, which must come within a second or so.
async fn becomes<T: PartialEq + std::fmt::Debug>(wanted: T, ask: impl AsyncFn() -> T) {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if answer == wanted {
            return;
        }
        assert!(started.elapsed() < WITHIN, "still {answer:?}");
    }
}

/// Sends `settingUpdate` and answers its payload.
async fn update(client: &Client<'_>, name: &str, value: Value) -> Value {
    let query = format!(
        "mutation($name: SettingName!, $value: JSON!) {{
            r: settingUpdate(name: $name, value: $value) {{ setting {{ {SETTING} }} userErrors {{ code message path }} }} }}"
    );
    client.data(&query, json!({ "name": name, "value": value })).await["r"].clone()
}

/// Sets what must be right.
async fn set(client: &Client<'_>, name: &str, value: Value) {
    let payload = update(client, name, value).await;
    assert_eq!(payload["userErrors"], json!([]), "{payload}");
}

/// Sends `settingReset` and answers its payload.
async fn reset(client: &Client<'_>, name: &str) -> Value {
    let query = format!(
        "mutation($name: SettingName!) {{
            r: settingReset(name: $name) {{ setting {{ {SETTING} }} userErrors {{ code message path }} }} }}"
    );
    client.data(&query, json!({ "name": name })).await["r"].clone()
}

/// One of the shop's settings.
async fn setting(client: &Client<'_>, name: &str) -> Value {
    let data = client.data(&format!("{{ settings {{ {SETTING} }} }}"), json!({})).await;
    let found = data["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name);
    found.unwrap_or_else(|| panic!("{data}")).clone()
}

/// A setting's value and source.
fn told(setting: &Value) -> (Value, &str) {
    (setting["value"].clone(), setting["source"].as_str().unwrap())
}

/// Rows of a shop's own settings.
async fn rows(shop: &TenantCtx) -> i64 {
    let query = format!(r#"SELECT count(*) FROM "{}".settings"#, shop.schema);
    psql().await.query_one(&query, &[]).await.unwrap().get(0)
}

/// Entries of a shop's trail about settings: what was done, to which, before and after.
async fn trail(psql: &tokio_postgres::Client, shop: &TenantCtx) -> Vec<(String, String, Value, Value)> {
    let query = format!(
        r#"SELECT action, entity, coalesce(before::text, 'null'), coalesce(after::text, 'null')
           FROM "{}".audit_log WHERE action LIKE 'setting.%' ORDER BY sequence"#,
        shop.schema
    );
    let json = |text: String| serde_json::from_str(&text).unwrap();
    let rows = psql.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), json(row.get(2)), json(row.get(3)))).collect()
}

/// What operators did to a target, the oldest first, and with what.
async fn noted(psql: &tokio_postgres::Client, target: &str) -> Vec<(String, Value)> {
    let query = "SELECT action, details::text FROM control.admin_audit
                 WHERE target = $1 AND (action LIKE '%setting%' OR action LIKE '%flag%') ORDER BY id";
    let rows = psql.query(query, &[&target]).await.unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

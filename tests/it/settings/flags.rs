//! Flags: who has what, on every replica, and until when.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shelfwise::control::flags::service::overdue_list;
use shelfwise::control::tenants::Lookup;
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::flags::Flag;
use shelfwise::kernel::tenant::TenantCtx;

use super::{Replicas, becomes, noted, set, setting, told};
use crate::graphql_helpers::codes;
use crate::harness::clock::TestClock;
use crate::harness::cluster::{psql, psql_of};
use crate::harness::{Client, World, world};
use crate::orders::stocked;

const FLAG: Flag = Flag::StockLowOnUpdate;

/// Sends `flagUpdate` and answers its payload.
async fn update(world: &World, input: &str) -> Value {
    let query = format!(
        "mutation {{ r: flagUpdate(name: \"{FLAG}\", input: {{ {input} }}) {{
            flag {{ name percent owner endsOn isOverdue exceptions {{ tenant isOn endsAt reason }} }}
            userErrors {{ code path }} }} }}"
    );
    world.admin().data(&query, json!({})).await["r"].clone()
}

/// Sends `tenantFlagSet` and answers its payload.
async fn decide(world: &World, slug: &str, is_on: bool, ends_at: Option<DateTime<Utc>>) -> Value {
    let query = format!(
        "mutation($slug: String!, $input: TenantFlagSetInput!) {{
            r: tenantFlagSet(slug: $slug, name: \"{FLAG}\", input: $input) {{
                flag {{ exceptions {{ tenant isOn reason }} }} userErrors {{ code path }} }} }}"
    );
    let input = json!({ "isOn": is_on, "endsAt": ends_at, "reason": "a pilot" });
    world.admin().data(&query, json!({ "slug": slug, "input": input })).await["r"].clone()
}

/// Whether a server has the flag on for a shop.
async fn is_on(world: &World, shop: &TenantCtx) -> bool {
    let lookup = world.app.services.registry.resolve(&shop.slug).await.unwrap();
    let Lookup::Active(context) = lookup else { panic!("{lookup:?}") };
    context.has(FLAG, world.app.services.clock.now())
}

#[tokio::test]
async fn a_flag_is_switched_on_every_replica_within_a_second() {
    let site = Replicas::start(&[]).await;
    let (a, b) = (Arc::clone(&site.one.a), Arc::clone(&site.one.b));
    let becomes_on = async |shop: &TenantCtx, wanted: bool| {
        for world in [&site.one, &site.two] {
            becomes(wanted, async || is_on(world, shop).await).await;
        }
    };
    becomes_on(&a, false).await;
    let incomplete = update(&site.one, "percent: 100").await;
    assert_eq!(codes(&incomplete), ["FLAG_INCOMPLETE"]);
    let first = update(&site.one, "percent: 0, owner: \"Ann\", endsOn: \"2099-03-31\"").await;
    assert_eq!(
        first["flag"],
        json!({ "name": "stock_low_on_update", "percent": 0, "owner": "Ann", "endsOn": "2099-03-31",
                "isOverdue": false, "exceptions": [] })
    );
    becomes_on(&a, false).await;
    let decided = decide(&site.one, a.slug.as_str(), true, None).await;
    let exception = json!({ "tenant": a.slug.as_str(), "isOn": true, "reason": "a pilot" });
    assert_eq!(decided["flag"]["exceptions"], json!([exception]));
    becomes_on(&a, true).await;
    becomes_on(&b, false).await;
    assert_eq!(update(&site.two, "percent: 100").await["flag"]["owner"], "Ann", "what is left out stays");
    becomes_on(&b, true).await;
    decide(&site.one, a.slug.as_str(), false, None).await;
    becomes_on(&a, false).await;
    let query = "query($slug: String!) { tenantFlags(slug: $slug) { name isOn isException } }";
    for (shop, is_on, is_exception) in [(&a, false, true), (&b, true, false)] {
        let data = site.one.admin().data(query, json!({ "slug": shop.slug.as_str() })).await;
        let expected = json!([{ "name": "stock_low_on_update", "isOn": is_on, "isException": is_exception }]);
        assert_eq!(data["tenantFlags"], expected);
    }
    let remove = format!(
        "mutation {{ r: tenantFlagRemove(slug: \"{}\", name: \"{FLAG}\") {{ flag {{ exceptions {{ tenant }} }}
            userErrors {{ code }} }} }}",
        a.slug
    );
    for _ in 0..2 {
        let data = site.one.admin().data(&remove, json!({})).await;
        assert_eq!(data["r"], json!({ "flag": { "exceptions": [] }, "userErrors": [] }));
    }
    becomes_on(&a, true).await;

    let actions: Vec<String> = noted(&site.psql, a.slug.as_str()).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["tenant.flag_set", "tenant.flag_set", "tenant.flag_remove"]);
    let of_flag = noted(&site.psql, FLAG.name()).await;
    assert_eq!(of_flag.len(), 2);
    assert_eq!(of_flag[1].1["before"], json!({ "percent": 0, "owner": "Ann", "endsOn": "2099-03-31" }));
    assert_eq!(noted(&site.psql, b.slug.as_str()).await, []);
    site.end().await;
}

#[tokio::test]
async fn a_change_that_nobody_hears_of_arrives_all_the_same() {
    let site = Replicas::start(&[]).await;
    update(&site.one, "percent: 0, owner: \"Ann\", endsOn: \"2099-03-31\"").await;
    let (here, there) = (site.one.owner(), site.two.owner());
    for world in [&site.one, &site.two] {
        becomes(false, async || is_on(world, &site.one.a).await).await;
    }
    for owner in [&here, &there] {
        assert_eq!(told(&setting(owner, "CATALOG_STOCK_LOW").await), (json!(3), "DEFAULT"));
    }
    // Those who listen are cut off, and nobody is let in anew.
    let name: String = site.psql.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    let server = psql().await;
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE '%\"shelfwise_echo\"%' AND pid <> pg_backend_pid()";
    let cut: i64 = site.psql.query_one(cut, &[]).await.unwrap().get(0);
    assert!(cut >= 2, "each server listens: {cut}");

    site.psql.execute("UPDATE control.flags SET percent = 100", &[]).await.unwrap();
    let rule = "INSERT INTO control.tenant_settings VALUES ($1, 'catalog.stock_low', '4', 'test', now())";
    site.psql.execute(rule, &[&site.one.a.id.0]).await.unwrap();
    for world in [&site.one, &site.two] {
        becomes(true, async || is_on(world, &site.one.a).await).await;
    }
    becomes("4 OPERATORS".to_owned(), async || shown(&there).await).await;
    set(&here, "CATALOG_STOCK_LOW", json!(5)).await;
    becomes("5 SHOP".to_owned(), async || shown(&there).await).await;
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    site.end().await;
}

/// What a shop's setting is, and by whom.
async fn shown(client: &Client<'_>) -> String {
    let setting = setting(client, "CATALOG_STOCK_LOW").await;
    format!("{} {}", setting["value"], setting["source"].as_str().unwrap())
}

#[tokio::test]
async fn what_was_decided_for_a_shop_ends_by_its_time_without_anybody_doing_anything() {
    let clock = Arc::new(TestClock::default());
    let (world, _) = World::start_alone(clock.clone(), &[]).await;
    update(&world, "percent: 0, owner: \"Ann\", endsOn: \"2099-03-31\"").await;
    let ends_at = clock.now() + TimeDelta::days(7);
    assert_eq!(decide(&world, world.a.slug.as_str(), true, Some(ends_at)).await["userErrors"], json!([]));
    becomes(true, async || is_on(&world, &world.a).await).await;
    clock.advance(TimeDelta::days(7) - TimeDelta::hours(1));
    assert!(is_on(&world, &world.a).await);
    clock.advance(TimeDelta::hours(1));
    assert!(!is_on(&world, &world.a).await);
    assert_eq!(codes(&decide(&world, world.a.slug.as_str(), true, Some(ends_at)).await), ["END_INVALID"]);
    world.end().await;
}

#[tokio::test]
async fn a_flag_that_has_outlived_its_day_stays_as_it_is_and_is_told_of() {
    let clock = Arc::new(TestClock::default());
    let (world, _) = World::start_alone(clock.clone(), &[]).await;
    let today = clock.now().date_naive();
    let input = format!("percent: 100, owner: \"Ann\", endsOn: \"{today}\"");
    assert_eq!(update(&world, &input).await["flag"]["isOverdue"], false);
    assert_eq!(overdue_list(&world.app.control, today).await.unwrap().len(), 0);
    clock.advance(TimeDelta::days(1));
    let flags = world.admin().data("{ flags { name isOverdue percent } }", json!({})).await;
    assert_eq!(flags["flags"], json!([{ "name": "stock_low_on_update", "isOverdue": true, "percent": 100 }]));
    let overdue = overdue_list(&world.app.control, clock.now().date_naive()).await.unwrap();
    assert_eq!(overdue.iter().map(|state| state.flag).collect::<Vec<_>>(), [FLAG]);
    becomes(true, async || is_on(&world, &world.a).await).await;
    world.end().await;
}

#[tokio::test]
async fn what_this_release_does_not_know_is_refused_or_ignored() {
    let (world, name) = World::start_alone(Arc::new(TestClock::default()), &[]).await;
    let psql = psql_of(&name).await;
    let insert = "INSERT INTO control.flags VALUES ('of_the_future', 'Ann', '2099-01-01', 100, 'x', now())";
    psql.execute(insert, &[]).await.unwrap();
    let flags = world.admin().data("{ flags { name percent owner endsOn } }", json!({})).await;
    let untouched = json!([{ "name": "stock_low_on_update", "percent": 0, "owner": null, "endsOn": null }]);
    assert_eq!(flags["flags"], untouched);
    assert!(!is_on(&world, &world.a).await);
    let slug = world.a.slug.as_str();
    for (mutation, code) in [
        ("flagUpdate(name: \"of_the_future\", input: { percent: 1 })".to_owned(), "FLAG_NOT_FOUND"),
        (format!("tenantFlagRemove(slug: \"{slug}\", name: \"of_the_future\")"), "FLAG_NOT_FOUND"),
        (
            format!("tenantFlagSet(slug: \"{slug}\", name: \"x\", input: {{ isOn: true, reason: \"x\" }})"),
            "FLAG_NOT_FOUND",
        ),
        (
            format!("tenantFlagSet(slug: \"{slug}\", name: \"{FLAG}\", input: {{ isOn: true, reason: \"x\" }})"),
            "FLAG_INCOMPLETE",
        ),
        (
            format!("tenantFlagSet(slug: \"{slug}\", name: \"{FLAG}\", input: {{ isOn: true, reason: \" \" }})"),
            "REASON_INVALID",
        ),
        (format!("flagUpdate(name: \"{FLAG}\", input: {{ percent: 101 }})"), "PERCENT_INVALID"),
        (format!("flagUpdate(name: \"{FLAG}\", input: {{ percent: -1 }})"), "PERCENT_INVALID"),
        (format!("flagUpdate(name: \"{FLAG}\", input: {{ owner: \" \", endsOn: \"2099-01-01\" }})"), "FLAG_INCOMPLETE"),
    ] {
        let query = format!("mutation {{ r: {mutation} {{ flag {{ name }} userErrors {{ code }} }} }}");
        let data = world.admin().data(&query, json!({})).await;
        assert_eq!(data["r"], json!({ "flag": null, "userErrors": [{ "code": code }] }), "{mutation}");
    }
    update(&world, "owner: \"Ann\", endsOn: \"2099-01-01\"").await;
    assert_eq!(codes(&decide(&world, "nobody", true, None).await), ["TENANT_NOT_FOUND"]);
    let tried = psql.query_one("SELECT count(*) FROM control.tenant_flags", &[]).await.unwrap();
    assert_eq!((noted(&psql, slug).await.len(), tried.get::<_, i64>(0)), (0, 0));
    world.end().await;
}

/// Sets a book's stock, and answers how often low stock has been told.
async fn stock(world: &World, owner: &Client<'_>, book: &str, (version, stock): (i32, i32)) -> usize {
    let query = "mutation($id: ID!, $version: Int!, $stock: Int!) {
        bookUpdate(id: $id, version: $version, input: { stock: $stock }) { userErrors { code } } }";
    let variables = json!({ "id": book, "version": version, "stock": stock });
    assert_eq!(owner.data(query, variables).await["bookUpdate"]["userErrors"], json!([]));
    crate::orders::events(&world.a).await.iter().filter(|kind| *kind == "book.stock_low").count()
}

#[tokio::test]
async fn low_stock_is_told_when_it_is_set_by_hand_where_the_flag_is_on() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 10).await;
        assert_eq!(stock(world, &owner, &emma, (1, 2)).await, 0, "it is off");
        // For this shop alone, below the API: other tests share the flag.
        let psql = crate::harness::cluster::psql().await;
        psql.execute(
            "INSERT INTO control.flags VALUES ($1, 'Ann', '2099-01-01', 0, 'test', now()) ON CONFLICT DO NOTHING",
            &[&FLAG.name()],
        )
        .await
        .unwrap();
        decide(world, world.a.slug.as_str(), true, None).await;
        becomes(true, async || is_on(world, &world.a).await).await;
        assert_eq!(stock(world, &owner, &emma, (2, 10)).await, 0, "there are enough");
        assert_eq!(stock(world, &owner, &emma, (3, 2)).await, 1);
        assert_eq!(stock(world, &owner, &emma, (4, 1)).await, 1, "it was told");
    })
    .await;
}

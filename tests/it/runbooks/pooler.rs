//! A PgBouncer between the servers and PostgreSQL.

use super::house::House;
use crate::harness::pooler::PgBouncer;

#[tokio::test]
async fn a_pgbouncer_between() {
    let house = House::closed(&[]).await;
    house.shop("acme").await;
    let pooler = PgBouncer::start(4, "");
    let settings: Vec<(String, String)> =
        pooler.settings(&house.urls).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    house.docker.up("api", 1, &settings).unwrap();
    let token = house.shop_token("acme").await;
    house.data("/graphql", &token, "{ books { totalCount } }").await;

    let mut page = house.page("pgbouncer");
    // Options of a session are none of its business.
    page.before("export PGOPTIONS=").set("6432", pooler.port().to_string());
    page.says("SHOW POOLS", &["cl_waiting", "sv_idle", "shelfwise", "transaction"]).await;
    page.says("RECONNECT", &["RECONNECT"]).await;
    house.data("/graphql", &token, "{ books { totalCount } }").await;
    page.says("isolation_violations", &["shelfwise_pool_", "shelfwise_isolation_violations 0"]).await;
    page.end();
}

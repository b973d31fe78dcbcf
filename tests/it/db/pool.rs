//! Admission to the pool: in the order of asking, bounded in time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shelfwise::db::DbError;

use crate::harness::world::{app, shop};

#[tokio::test]
async fn connections_are_lent_in_the_order_of_asking() {
    let app = app(&[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "10000")]);
    let tenant = shop(&app, "o").await;
    let first = app.services.tenants.session(Arc::clone(&tenant));
    let held = first.read().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (app, tenant, order) = (Arc::clone(&app), Arc::clone(&tenant), Arc::clone(&order));
        let (asking, asked) = tokio::sync::oneshot::channel();
        waiting.push(tokio::spawn(async move {
            let session = app.services.tenants.session(tenant);
            let mut read = std::pin::pin!(session.read());
            // One poll puts the session into the queue; then the next may come.
            let polled = futures_util::poll!(read.as_mut());
            asking.send(()).unwrap();
            let read = match polled {
                std::task::Poll::Ready(read) => read,
                std::task::Poll::Pending => read.await,
            };
            order.lock().unwrap().push(number);
            drop(read.unwrap());
            session.finish().await;
        }));
        asked.await.unwrap();
    }
    drop(held);
    first.finish().await;
    drop(first);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn waiting_has_an_end() {
    let app = app(&[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "150")]);
    let tenant = shop(&app, "w").await;
    let first = app.services.tenants.session(Arc::clone(&tenant));
    let held = first.read().await.unwrap();
    let started = Instant::now();
    let second = app.services.tenants.session(Arc::clone(&tenant)).read().await;
    // At once, where nothing has moved for as long already.
    assert!(matches!(second, Err(DbError::Busy | DbError::Overloaded { .. })));
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(held);
}

#[tokio::test]
async fn many_operations_of_two_levels_on_few_connections_all_end() {
    let app = app(&[("DB_POOL_MAX", "2"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")]);
    let tenant = shop(&app, "m").await;
    let operations = (0..40).map(|_| {
        let session = app.services.tenants.session(Arc::clone(&tenant));
        async move {
            // Two statements that depend on each other: with a connection each, these would wait for one another.
            for _ in 0..2 {
                let read = session.read().await.unwrap();
                let owner = shelfwise::tenant::identity::users::service::owner_first(&read).await.unwrap();
                assert!(owner.is_some());
            }
            session.finish().await;
        }
    });
    futures_util::future::join_all(operations).await;
    assert!(app.services.tenants.connections_created() <= 2);
}

//! What has ended is kept for a time, dead letters for longer, and what has not ended for as long as it takes.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::db::ControlDb;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::jobs::Handlers;
use shelfwise::jobs::prune::Prune;

use super::queue::Queue;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn each_is_kept_for_its_time() {
    let queue = Queue::new().await;
    // A row for each state and age in days; the age of one that has not ended is that of its making.
    queue
        .sql(
            "INSERT INTO control.jobs (id, kind, payload, state, created_at, scheduled_at, finalized_at)
             SELECT gen_random_uuid(), 'test.' || state, '{}', state, now() - age * interval '1 day',
                 now() + interval '1 day',
                 CASE WHEN state IN ('completed', 'cancelled', 'discarded') THEN now() - age * interval '1 day' END
             FROM unnest(ARRAY['completed', 'cancelled', 'discarded', 'scheduled', 'retryable']) state,
                 unnest(ARRAY[1, 6, 8, 89, 91]) age",
        )
        .await;
    let id = queue.add("jobs.prune", None).await;
    let target = Target::from_url(queue.urls.runtime.expose_secret()).unwrap();
    let prune = Prune {
        control: ControlDb::new(Pool::control(target, Duration::from_secs(5))),
        retention: 7 * DAY,
        dead_retention: 90 * DAY,
    };

    let worker = queue.work(Handlers::default().with(prune));
    queue.until_state(id, "completed").await;
    worker.stop().await;

    let left = "SELECT string_agg(state || ' ' || count, ', ' ORDER BY state) FROM (
        SELECT state, count(*) FROM control.jobs WHERE kind LIKE 'test.%' GROUP BY state) counts";
    assert_eq!(queue.ask(left).await, "cancelled 2, completed 2, discarded 4, retryable 5, scheduled 5");
}

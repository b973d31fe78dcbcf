//! ShelfWise: one GraphQL server for many bookshops, a PostgreSQL schema for each.
//!
//! # Two planes
//!
//! In the *control plane* ([`control`]) tenants are rows: operators provision, suspend and migrate them, through
//! `/admin/graphql` or the command line; it also has the administrators' accounts and the trail of what operators do.
//! In the *tenant plane* ([`tenant`]) the tenant is the connection: a shop's people, their roles and credentials are
//! rows of its schema as its books are, and they work in it through `/graphql`. One compiled GraphQL schema serves all
//! tenants, so its cost does not grow with their number. The first folder's name answers the most important question
//! about a statement: on which connection does it run?
//!
//! # From a request to rows
//!
//! ```text
//! http::graphql      media types, body, deadline          ─ http::admission: token, host, X-Tenant → TenantCtx, Actor
//!   http::documents  text or hash, guard, trust           ─ graphql::guard, graphql::cost
//!   graphql::schema  roots, @access                       ─ graphql::context: Request → Shop → read() / write()
//!     tenant::…::graphql   ids and scalars; decides nothing    ─ graphql::prompt: what is in memory is answered in place
//!       tenant::…::service permission, rules              ─ Failure: refused / forbidden / database
//!         tenant::…::repo  a statement each, or what is one act to its caller
//!           db::TenantRead, db::TenantTx                  ─ search path and role of this tenant, for this transaction
//! ```
//!
//! An operation has one connection at most, taken when the first statement needs it. Its reads share a READ ONLY
//! transaction whose opening travels with the first statement; dataloaders batch by key, and their sibling statements
//! share a round trip, so a query costs as many round trips as it has dependent levels of data. A mutation's field has
//! the connection to itself: awaited opening, statements, awaited COMMIT; its payload is then read in a fresh READ ONLY
//! transaction on the same connection.
//!
//! # From a credential to an actor
//!
//! ```text
//! Authorization: Bearer …
//!   auth::tokens              our own: kid, algorithm of the key, iss, aud, times  ─ kept for 10 seconds
//!   kernel::credential        an API key: sw_SLUG_ID_SECRET → its id and the hash of its secret
//!   auth::external            the shop's own issuer: its keys come by outbound
//!     identity::principals    session, key, user, roles: asked of the shop's tables ─ trusted for 0.9 seconds
//!       kernel::actor::Actor  the user, what this credential allows, and which it is
//! ```
//!
//! A signature says who was meant once; whether it still holds is a row's to say. So nothing is notified when
//! something is taken back: every replica forgets within a second what it was told, counted from the moment of asking.
//! An API key allows what it lists and its maker has at the time; an operator's token what its role and the user have
//! in common. Administrators go the same way through `control::admins::standing`.
//!
//! Who shows no credential is a stranger. What strangers may call is how one gets in; [`auth::strangers`] counts such
//! calls in memory before any of them needs a connection. Where a password is tried or a link asked for, the shop's tables
//! count the attempt before it is read; where a token is shown, which has 256 random bits, nothing more is counted. The
//! connection is given back before a password is hashed ([`auth::passwords`]). An account that does not exist takes
//! the same way through the same work as one that does, and who a mailed link is for is found out by the job that
//! sends it.
//!
//! Root fields name what they ask (`graphql::access`), services ask it, and `Call::write` asks it before a transaction
//! is opened. A test walks both schemas so that the three cannot part.
//!
//! # From a change to what is left of it
//!
//! ```text
//! graphql::Call::write            the key, if the call has one, is looked up in the trip of the opening
//!   tenant::…::service            notes what became of the entity, publishes what has happened
//!   tenant::idempotency           what the call answers: an id, or why not (what was done is taken back to a savepoint)
//!   tenant::journal               one statement, last of all: numbers of the head, the trail's entry, the events
//!     tenant::events::reactions   jobs of those who react, enqueued before it
//! COMMIT                          all of it, or nothing
//! ```
//!
//! `tenant_head` is locked by the last statement and held until the COMMIT, so the order of its numbers is the order of
//! commits: who reads events or the trail by number misses nobody who was slow. Each entry of the trail is hashed with the
//! one before, by the database, which alone knows it; where the trail ends is kept in the control plane by a job.
//!
//! Money is taken by a saga ([`tenant::orders::payments`]): what a step came to is kept before the next is asked for, so a
//! process may die anywhere. What must not happen twice is the provider's to prevent, who knows a payment by its id. Which account
//! takes it is kept first of all, and no step goes through another.
//!
//! # From a transaction to a job
//!
//! ```text
//! db::TenantTx::enqueue         a row of control.jobs, with the COMMIT or not at all ─ then db::Bell rings
//!   jobs::runner                claims: a share for each tenant in turn, no more than there are free slots
//!     worker::tenants           the tenant's context; a handler that needs more is made with it
//!       Handler::run            a transaction that writes begins with TenantTx::hold_job
//!   jobs::scribe                how jobs ended, many in one statement; heartbeats
//!   jobs::tender                what is due, what was lost, what is periodic
//! ```
//!
//! A claim is a lease and a fence. No transaction is open while a job works, and none says anything about a job without
//! the fence of its claim. [`jobs`] knows no domain; [`worker`] is where handlers and the engine meet, and [`control::jobs`]
//! is what operators see of the queue.
//!
//! # From an event to an endpoint
//!
//! ```text
//! tenant::journal                 the first event since the last look asks for `webhook.dispatch`, once a shop
//!   webhooks::dispatch            wakes each endpoint that takes events: one job of `webhook.deliver` looks after it
//!     webhooks::courier           rounds: what became of the last, what is next; no transaction while an endpoint is waited for
//!       outbound                  the address, judged at each connection
//!       webhooks::breaker         when an endpoint is left alone, and when it is given up
//! ```
//!
//! An event becomes a delivery when its turn comes. Until then it waits where it is, so an endpoint that fails for a day
//! costs one row of the queue. The sign that a look is asked for is set and taken down under the lock of the head, and which job
//! looks after an endpoint is told by the endpoint's row under its own: no event is committed that nobody will look for.
//!
//! # The life of a tenant
//!
//! ```text
//! control::spares                 schemas with their roles and final names, made in batches before anybody asks
//!   control::provisioning         a sign-up takes one, or builds one: registry, owner, mails, trail, in one transaction
//! control::migrations::service    a run, and a step for each schema: spare schemas, canaries, waves
//!   drive::Driver                 whoever has the lease in the run's row: the command, or the job fleet.migrate
//!     step                        locks and ledger in the trip of the opening; one batch; COMMIT
//!       db::migrate::fleet        scripts, ledger, registry and the step's own row: all of it, or nothing
//!   worker::fleet                 shop.backfill: what migrations have left open, batch by batch, as the shop
//! control::drift                  db::catalogue: what is there, beside what the migrations make
//! control::archives::export       the tenant's own door, a cursor, one moment ─ pack: zip, sealed in pieces ─ objects
//!   archives::restore             the schema at the archive's version, tenant::tables from top to bottom, the migrations
//! control::sandboxes              the same tables within PostgreSQL, about nobody
//! control::offboarding            closed, archived, waiting; keys, tables, schema, rows; a certificate
//! ```
//!
//! What lasts is a row, and whoever does the next step reads it off the row and the catalogue: a process may die anywhere, and
//! the next one goes on. What must be all or nothing is one transaction, however long; what is too much for the lock table is
//! many. New schemas are made from a baseline, all migrations squashed, which a test proves to be equal to them.
//!
//! # From a plan to a share
//!
//! ```text
//! control::plans, settings, flags   rows, beside the registry's ─ in the tenant's entry, in the one statement that reads it
//!   kernel::{limits, settings, flags}   what there is of them, declared; in TenantCtx
//!     http::limits::Toll            pays before an operation runs, and settles after it ─ limits: Redis, or this replica's share
//!     db::fair                      who borrows a connection next: turns by weight, and no wait that would be in vain
//!     tenant::settings              the shop's own values, remembered for less than a second
//! db::News                          what a COMMIT has changed, told here at once ─ news: by Redis or NOTIFY elsewhere, soon
//! ```
//!
//! What operators decide travels in the tenant's row, what a shop sets is a row of its own. An operation pays for what it may
//! cost out of several buckets, or of none of them; who has no connection in time is told so before anything is done.
//!
//! # From a row to an answer that is kept
//!
//! Queries read through `cache::Reads`, under keys that only a `TenantCtx` makes. News raise marks, and what was read in a
//! snapshot below its mark does not count. In Redis one needs a lease to keep something, which ends with what is removed, and
//! nobody asks Redis for what they were told of before they removed it there. [`cache`] says what is promised.
//!
//! # From a change to who looks on
//!
//! ```text
//! db::News                        told when it is committed, by index to those whom it concerns: live::Hub
//!   http::watched                 a look: credential, tenant, rates, connection and loaders anew ─ graphql::watch: is it told, is it the last
//!     http::socket, http::stream  graphql-transport-ws, server-sent events; credentials::lost beside the operations
//! ```
//!
//! What is told is that something has changed, never what it is now. An answer waits for the one before it to be written, so nothing
//! piles up behind who is slow.
//!
//! # From an announcement to the end of a part
//!
//! ```text
//! #[graphql(deprecation = …)]     kernel::deprecation: since when, until when, what instead; one form, which a law holds
//!   graphql::deprecation          what a document uses: read once, kept with it
//!     http::deprecation           the day a request is judged by; told, refused, counted
//!       tenant::deprecations      in memory, written down every ten seconds ─ job deprecation.report: control::deprecations
//!         control::deprecations::notices   90, 30 and 7 days before, once each
//! graphql::diff                   two schemas → what has changed, and what that means ─ cli::schema, graphql::changelog
//! ```
//!
//! # From a signal to the end
//!
//! ```text
//! control::health    what a process knows of itself: one look in an interval, by a connection that nothing else uses
//!   http::health     answers probes of it, and operators why
//!   http::serve      not ready → goes on for a while → takes nobody more → finishes → closes
//! db::inspection     what a login sees of its database ─ cli::doctor judges it, row by row
//! ```
//!
//! # From a request to what is told of it
//!
//! ```text
//! telemetry::frames    a request, an operation of a socket, a job, an attempt: a span that is there whatever is logged
//!                      what lasts once a request was answered has a frame without a span: each look is a trace, linked to it
//!   telemetry::lines   a log line: its own fields, and what the frames around it have noted
//!   telemetry::traces  spans → a bounded queue → a collector; jobs and events keep the Cause that their spans link to
//! telemetry::families  figures, told from the start ─ deploy/prometheus/rules judges ─ deploy/grafana shows
//! ```
//!
//! Tests of `deploy` hold these against each other: no rule or panel asks for what nobody tells, no alert is without its page and
//! a test of its silence, and no manifest sets a variable that is not read.
//!
//! # Invariants, written as what is deliberately absent
//!
//! - Nothing outside [`db`] names a connection, a pool or the search path, but for `cli::dev`, which makes a cluster. There
//!   are three doors: [`db::TenantDb`] needs a
//!   `TenantCtx`, [`db::ControlDb`] has no search path at all, [`db::OwnerDb`] is for schema changes alone.
//! - No function takes a schema name and a connection, but for the owner's. Only `db` puts text into SQL: a `SchemaName`, which is made
//!   from an id, names that the catalogue quotes, ids and versions; never text of a person's.
//! - No session state, but where the owner builds an index, on a connection that is closed then: a path or role is set by `SET LOCAL` within a transaction, and never skipped because it seems to be
//!   right already. The login's own path is empty, so a statement that forgot its tenant fails.
//! - No write travels with its opening, and no connection is handed on dirty, nor one whose backend has kept a tenant out. Of a COMMIT
//!   that was not answered nobody is told that it failed.
//! - No `repo` knows an `Actor`; no GraphQL type derives a diesel trait. No domain's statement touches another's tables but
//!   these: orders read books and move their copies, and sales name books; the journal looks for endpoints that take events,
//!   and writes what the trail and the events have; webhooks read events.
//! - No table of one plane can be joined with one of the other, and no foreign key crosses schemas. The one bridge is
//!   `control.job_enqueue`, with `control.job_hold` and `control.job_advance` beside it: functions that read the tenant off the current role.
//! - No type, domain or extension lives in a tenant's schema: connections serve many tenants, and an OID is one schema's.
//! - No error of the database is `Display`ed to a client: resolvers answer `ApiError`, which is not `Display`.
//! - No change of a shop without its entry in the trail, in the same transaction; a transaction that has noted a change and
//!   not written it down is not committed. What the platform keeps for itself in a shop's schema (attempts, tokens,
//!   when a key was last used, answers to repetitions, anchors, trusted documents) is no change of the shop, and copies that
//!   an order moves are told by the order's entry.
//! - No answer to a repeated request but from the row that committed with the effect; no cache is asked.
//! - No lock is taken after the head's, and books are locked in the order of their ids.
//! - No number of an order, event or entry is taken but from `tenant_head`.
//! - No change of a shop is committed by a process that has said goodbye to those whom it tells of changes ([`news`]).
//! - No clock and no randomness but through `kernel::clock::Clock`.
//! - No secret is stored but as a hash: Argon2id for passwords, SHA-256 for what has 256 random bits; or wrapped by a key
//!   that no database holds, as tenants' keys are. No secret lies in the queue of jobs, and none is `Display`.
//! - No tenant's key is used but by [`vault`], for the context of that tenant and while the context has it; no sealed value
//!   opens for another tenant, row or column; and no key seals before every server knows it.
//! - No credential is trusted longer than a second after the tables were asked, and no permission is cached beside it.
//! - No operation of a stranger needs a tenants' connection before it is counted, and strangers together have half of
//!   the pool; but for the look-up of a document's hash where documents must be trusted.
//! - No answer tells a stranger whether an account or a shop exists, and no statement or hash whether an account does.
//! - Nobody grants, changes or takes what exceeds their own permissions, and no name that a release does not know
//!   allows anything.
//! - No document reaches the executor before [`graphql::guard`] has read it, one that is trusted or known by its hash
//!   included.
//! - No address that a tenant chose is called but by [`outbound`].
//! - No mutation changes a shop without its entry in the shop's `audit_log`, in the same transaction, but for the request
//!   of a mailed link, which names nobody; and nobody is granted to change or remove an entry.
//! - No trail is trusted for its own word about its end: where it ended is in `control.audit_anchors`, which no tenant's
//!   role reaches and nobody changes.
//! - No change of a tenant's entry or an administrator's account without its entry in `control.admin_audit`, in the
//!   same transaction.
//!
//! - No job is claimed without a free slot, none beyond its tenant's bound, and none of a kind that the worker does not
//!   know.
//! - No job is done at most once: each is done again where it is not known to be done, so each handler says why twice is
//!   safe.
//! - No NOTIFY within a transaction that enqueues, and nothing that rests on one: workers look every second.
//! - No mail goes out on a connection on which another was given up, no text of a shop's is a header or markup of one, and
//!   no server gets one without TLS, but a developer's own ([`mail`]).
//! - No endpoint of a shop has more than one job that does anything, and no job waits for an endpoint in the slots of others.
//! - No delivery is sent but with the bytes that were stored when it was made, and no attempt with another's signature.
//! - No event is passed over for an endpoint but by its filter, and none of a key is sent before those ahead of it have ended.
//! - No sign-up from the stock makes a schema or grants a role, and no spare is given to two tenants.
//! - No step of a run is done but under its lease, and none twice: its row commits with what it did. None waits for a lock longer
//!   than the run says.
//! - No shop with an open backfill is copied, and a restored one is filled in anew before it is migrated: backfills are repeatable.
//! - No migration younger than `db::migrate::check` breaks one of its rules without saying why.
//! - No byte of an archive reaches the store but sealed, none is completed that was not read back, and none outlives its key.
//! - No value of a restored tenant is sealed anew: its entry tells whose seal it has, and its keys are of no use in any other
//!   entry. No sandbox holds a byte that its shop has sealed.
//! - No tenant's key is destroyed before both archives were read back and have the trail up to its end, and nothing else of the
//!   tenant before its keys. No deletion is begun and no certificate written but by the owner's login, and no key is destroyed on
//!   one worker's clock alone.
//! - No operation of a shop's credential is executed before it has paid. No replica is without limit while Redis is away, and
//!   nobody is shut out by that; what was spent through a replica stays spent there when Redis forgets, whoever asks it first.
//!   Nothing is put back where it was not taken.
//! - No entry of the registry is trusted beyond the end of what it carries while the registry answers, and while it does not,
//!   it is asked again within half a second.
//! - No shop has more books than its plan allows, however many add at once. No import keeps an order waiting but for the books that it
//!   changes, at its end, in the order of their ids; nobody adds a book or changes what one is known by but under the lock that
//!   an import has alone.
//! - No tenant gets more than its turn while others wait, and none that has its share gets the last quarter of the connections.
//!   None waits for a connection longer than it may, and none that got none has done anything.
//! - No setting or flag is but declared in the code, and no stored value counts that the release would not take. No end date of a
//!   flag switches anything. No secret among settings is in the control plane, a trail, an answer or a kept repetition.
//! - No answer to a mutation is compressed, and none is kept by its client but that to a query with an address.
//! - Nothing rests on news: who keeps what others change keeps it for a time, and for less while it hears nothing.
//! - No payload of a job in an answer, a log line or a trail.
//! - No answer is kept of a transaction that writes, nor given in a mutation or to who looks on. No answer about a person is kept in
//!   Redis. No permission is asked after an answer was found.
//! - No look of a subscription trusts the one before it: none is done without asking for the credential, none holds a connection while
//!   nothing happens, and none takes from the rates of those who work. No task that polls operations waits for a credential but
//!   beside them: the look-up may be one of theirs. No seat is taken before a credential was found good.
//! - No part leaves the released schema before its day, nor, where a database can be asked, while a tenant uses it. No use of what goes
//!   away is an entry of the trail or holds up a request. No extension outlives its day.
//! - No probe asks the database but through the one look of its interval, and none tells a stranger why. No connection that was opened
//!   before the end is broken off unheard. No release is ready on a control plane that is older than it needs.
//! - No line and no span holds a person, a secret or a value of SQL, whatever level is said, but for one that names the driver. No span
//!   lasts for as long as somebody looks on, and no request waits for a collector. No figure has a tenant as a
//!   label but ten at a time.
//! - No statement outside of a transaction sets anything for a later one on the runtime's login, so a pooler may stand between. No
//!   object of a shop's schema refers to another schema.
//! - No runbook names what the program does not have, and no block of one is unplayed without its reason. No release is rolled out
//!   before its own `migrate check` has passed on every schema.
//!
//! # What the wall promises
//!
//! Each schema belongs to a NOLOGIN role of its own, entered for each transaction. PostgreSQL itself denies a
//! statement that names another tenant's schema or the registry. That stops our own bugs and any injected single
//! statement of plain SQL. What would let one statement switch the role from within (`set_config`, `query_to_xml` and
//! its kind, `DO`) is revoked from all but the owner by `deploy/postgres/logins.sql`, which takes a superuser, and is
//! run again after a restore into another database. Every transaction reads its schema's stamp in the trip of its
//! opening, and workers have a few tenants try the forbidden every five minutes (`control::isolation`).
//!
//! It does not stop a `SET ROLE` that is sent as a statement of its own: the runtime login is a member of all tenants'
//! roles. Which is why all SQL here is static.

// Each group of root fields is a type within a type.
#![recursion_limit = "256"]

pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod config;
pub mod control;
pub mod db;
pub mod failure;
pub mod graphql;
pub mod http;
pub mod jobs;
pub mod kernel;
pub mod limits;
pub mod live;
pub mod mail;
pub mod news;
pub mod objects;
pub mod outbound;
pub mod payments;
pub mod redis;
pub mod telemetry;
pub mod tenant;
pub mod vault;
pub mod worker;

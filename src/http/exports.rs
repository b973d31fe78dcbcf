//! `/exports/{archive}?token=…`: an archive, opened, for whoever has the link.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::App;
use crate::control::archives::service::{archive_by_id, archive_open};
use crate::control::archives::unpack::SealedObject;
use crate::control::archives::{Archive, ArchiveStatus};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::db::{ControlTx, DbError};
use crate::kernel::ids::ArchiveId;

/// Archives that are on their way at once: each holds a piece of a megabyte for as long as its reader likes.
static DOWNLOADS: Semaphore = Semaphore::const_new(32);

/// What a link says.
#[derive(Deserialize)]
pub struct Link {
    /// Which archive it opens, and until when.
    #[serde(default)]
    token: String,
}

/// Sends an archive. Whose link is not valid learns nothing of whether there is one.
pub async fn export(State(app): State<Arc<App>>, Path(id): Path<String>, Query(link): Query<Link>) -> Response {
    let services = &app.services;
    let opens = services.tokens.verify_link(&link.token, services.clock.now()).ok();
    let Some(id) = id.parse::<ArchiveId>().ok().filter(|id| opens == Some(*id)) else {
        return (StatusCode::FORBIDDEN, "the link is not valid, or not any more\n").into_response();
    };
    let archive = match archive_by_id(&app.control, id).await {
        Ok(Some(archive)) if archive.is_completed() => archive,
        Ok(Some(archive)) if archive.status() == ArchiveStatus::Expired => {
            return (StatusCode::GONE, "the archive has expired\n").into_response();
        }
        Ok(_) => return (StatusCode::NOT_FOUND, "there is no such archive\n").into_response(),
        Err(error) => return failed(&error),
    };
    // Each holds a piece while its reader is slow.
    let Ok(room) = DOWNLOADS.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "60")], "too many downloads\n")
            .into_response();
    };
    let opened = match archive_open(&app.objects, &services.vault, &archive).await {
        Ok(opened) => opened,
        Err(error) => return failed(&error),
    };
    // What cannot be opened is told before anything is sent; later it can only be cut off.
    let first = match opened.piece(0).await {
        Ok(first) => first,
        Err(error) => return failed(&error),
    };
    if let Err(error) = note(&app, &archive).await {
        return failed(&error);
    }
    answer(&archive, Download { opened, next: 1, first: Some(first), _room: room })
}

/// An archive under way to somebody. It is read on when they have taken what they got.
struct Download {
    opened: SealedObject,
    next: u32,
    first: Option<Vec<u8>>,
    _room: SemaphorePermit<'static>,
}

impl Download {
    async fn piece(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first.into()), self));
        }
        if self.next >= self.opened.pieces() {
            return None;
        }
        let piece = self.opened.piece(self.next).await.map(Bytes::from).map_err(io::Error::other);
        // What failed is not tried again: the answer is cut off.
        self.next = if piece.is_ok() { self.next + 1 } else { u32::MAX };
        Some((piece, self))
    }
}

/// Notes in the operators' trail that somebody had the link, before they get anything.
async fn note(app: &App, archive: &Archive) -> Result<(), DbError> {
    let operator = Operator { name: "link".to_owned(), ..Operator::platform() };
    let details = json!({ "archive": archive.id.to_string() });
    let act = ("archive.download", archive.slug.as_str());
    app.control.write(async |tx: &mut ControlTx| record(tx, &*app.services.clock, &operator, act, details).await).await
}

fn answer(archive: &Archive, download: Download) -> Response {
    let len = download.opened.size();
    // A slug has letters, digits and hyphens alone.
    let name = format!("attachment; filename=\"{}-{}.zip\"", archive.slug, archive.created_at.format("%Y-%m-%d"));
    let mut response = Body::from_stream(unfold(download, Download::piece)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "An archive cannot be sent");
    (StatusCode::SERVICE_UNAVAILABLE, "the archive cannot be read now\n").into_response()
}

//! `/exports/{archive}?token=…`: an archive, opened, for whoever has the link.

use std::io::{self, Read as _};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::app::App;
use crate::control::archives::service::{archive_by_id, archive_open};
use crate::control::archives::unpack::SealedObject;
use crate::control::archives::{Archive, ArchiveStatus};
use crate::kernel::ids::ArchiveId;

/// Bytes that are read at once.
const BLOCK_LEN: usize = 256 << 10;

/// Blocks that wait for a slow reader.
const WAITING_MAX: usize = 2;

/// What a link says.
#[derive(Deserialize)]
pub struct Link {
    /// Which archive it opens, and until when.
    #[serde(default)]
    token: String,
}

type Block = io::Result<Bytes>;

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
    let opened = match archive_open(&app.objects, &services.vault, &archive).await {
        Ok(opened) => opened,
        Err(error) => return failed(&error),
    };
    let (blocks, mut of_blocks) = mpsc::channel(WAITING_MAX);
    let len = opened.size();
    // It ends with the archive, or when nobody takes a block any more.
    drop(tokio::task::spawn_blocking(move || read(opened, &blocks)));
    // What cannot be opened is told before anything is sent; later it can only be cut off.
    match of_blocks.recv().await {
        Some(Ok(first)) => answer(&archive, len, first, of_blocks),
        Some(Err(error)) => failed(&error),
        None => failed(&"nothing was read"),
    }
}

fn answer(archive: &Archive, len: u64, first: Bytes, rest: mpsc::Receiver<Block>) -> Response {
    let blocks = unfold((Some(first), rest), async |(first, mut rest)| match first {
        Some(first) => Some((Ok(first), (None, rest))),
        None => rest.recv().await.map(|block| (block, (None, rest))),
    });
    // A slug has letters, digits and hyphens alone.
    let name = format!("attachment; filename=\"{}-{}.zip\"", archive.slug, archive.created_at.format("%Y-%m-%d"));
    let mut response = Body::from_stream(blocks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

fn read(mut archive: SealedObject, blocks: &mpsc::Sender<Block>) {
    loop {
        let mut block = vec![0; BLOCK_LEN];
        let read = archive.read(&mut block);
        let (block, is_last) = match read {
            Ok(0) => return,
            Ok(read) => {
                block.truncate(read);
                (Ok(block.into()), false)
            }
            Err(error) => (Err(error), true),
        };
        if blocks.blocking_send(block).is_err() || is_last {
            return;
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "An archive cannot be sent");
    (StatusCode::SERVICE_UNAVAILABLE, "the archive cannot be read now\n").into_response()
}

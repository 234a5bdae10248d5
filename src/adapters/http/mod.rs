//! Health, metrics, verdicts and the answer to "why does it wait?".
//!
//! In: snapshots that the workers publish each second; what the log tells where another process weighs. Out: HTTP.
//! Holds: requests never touch the engine; nothing secret is in a snapshot. Knows nothing of: how snapshots come
//! about.

pub mod ask;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::adapters::metrics::{self, CONTENT_TYPE};
use crate::adapters::signals::ask_to_leave;
use crate::runtime::snapshot::{Snapshot, Snapshots};
use crate::runtime::stop::Stop;
use crate::runtime::told::{Told, Verdicts};

/// What requests are answered from.
#[derive(Clone)]
struct Seen {
    published: Snapshots,
    /// `None` where no other process can be the one that weighs.
    told: Option<Arc<Told>>,
}

/// Starts the thread that serves HTTP (if an address is given) and waits for the operating system's
/// signals; returns the address that is bound.
///
/// # Errors
/// The address can't be bound.
pub fn start(
    listen: Option<SocketAddr>,
    published: Snapshots,
    told: Option<Told>,
    stop: Stop,
) -> Result<(JoinHandle<()>, Option<SocketAddr>)> {
    let listener = match listen {
        None => None,
        Some(address) => {
            let listener = std::net::TcpListener::bind(address).with_context(|| {
                format!("listen on http://{address}; choose another `http.listen`, or `none`")
            })?;
            listener.set_nonblocking(true)?;
            Some(listener)
        }
    };
    let bound = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // Who asks for what the log tells while it is read waits for that.
    let runtime = runtime.max_blocking_threads(1).enable_all().build()?;
    let seen = Seen { published, told: told.map(Arc::new) };
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let signals = ask_to_leave(stop);
            match listener.and_then(|listener| tokio::net::TcpListener::from_std(listener).ok()) {
                None => signals.await,
                Some(listener) => {
                    let serve = axum::serve(listener, router(seen));
                    tokio::select! {
                        () = signals => {}
                        result = serve => if let Err(error) = result {
                            tracing::error!(%error, "HTTP ended.");
                        },
                    }
                }
            }
        });
    })?;
    Ok((thread, bound))
}

fn router(seen: Seen) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/why", get(why))
        .route("/api/v1/pipelines/{pipeline}/verdict", get(verdict))
        .with_state(seen)
}

async fn ready(State(Seen { published, .. }): State<Seen>) -> Response {
    let Snapshot { ready, checks, .. } = published.read();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "checks": checks }))).into_response()
}

async fn metrics(State(Seen { published, .. }): State<Seen>) -> Response {
    let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (kind, metrics::of(&published.read())).into_response()
}

async fn why(State(Seen { published, .. }): State<Seen>) -> Json<Value> {
    Json(published.read().why)
}

/// Always 200 where the verdict is known, so that a gate reads the verdict and not the status: where another process
/// weighs, the log tells it. 503 where it can't, so that a balancer asks again. Without `?candidate=` that of the
/// first one.
async fn verdict(
    State(seen): State<Seen>,
    Path(pipeline): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let snapshot = seen.published.read();
    let known = match (&snapshot.spec, &seen.told) {
        (Some(spec), _) => spec.name.clone(),
        // Before anything was published.
        (None, Some(told)) => told.pipeline().to_owned(),
        (None, None) => pipeline.clone(),
    };
    let is_known = pipeline == known;
    let mut verdicts = snapshot.verdicts;
    if is_known && verdicts.is_empty() {
        match by_log(seen.told).await {
            Ok(told) => verdicts = told,
            Err(why) => return untold(&why, &snapshot.why),
        }
    }
    let candidates: Vec<String> = verdicts.keys().cloned().collect();
    let wanted = query.get("candidate").or_else(|| candidates.first()).cloned().unwrap_or_default();
    match verdicts.remove(&wanted).filter(|_| is_known) {
        Some(verdict) => Json(verdict).into_response(),
        None => {
            let error = json!({
                "error": format!("no candidate {wanted:?} of a pipeline {pipeline:?} here"),
                "pipelines": [known],
                "candidates": candidates,
            });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

/// Returns what the log tells, read by a thread of its own.
async fn by_log(told: Option<Arc<Told>>) -> Result<Verdicts, String> {
    let Some(told) = told else {
        return Err("it has only begun, and goes on from its own log first".to_owned());
    };
    let reads = tokio::task::spawn_blocking(move || told.verdicts());
    reads.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn untold(reason: &str, why: &Value) -> Response {
    let error = json!({
        "error": "no verdict is known here: the process that owns partition 0 weighs, and the log doesn't tell it",
        "reason": reason,
        "evaluator": why["evaluator"],
    });
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(error)).into_response()
}

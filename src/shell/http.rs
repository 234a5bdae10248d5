//! Health, metrics, verdicts and the answer to "why does it wait?".
//!
//! In: snapshots that the workers publish each second. Out: HTTP. Holds: requests never
//! touch the engine; nothing secret is in a snapshot. Knows nothing of: how snapshots come about.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::metrics::CONTENT_TYPE;
use super::published::{Published, Snapshot};
use super::stop::Stop;

/// Starts the thread that serves HTTP (if an address is given) and waits for the operating system's
/// signals; returns the address that is bound.
///
/// # Errors
/// The address can't be bound.
pub fn start(
    listen: Option<SocketAddr>,
    published: Published,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let signals = stop.on_signals();
            match listener.and_then(|listener| tokio::net::TcpListener::from_std(listener).ok()) {
                None => signals.await,
                Some(listener) => {
                    let serve = axum::serve(listener, router(published));
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

fn router(published: Published) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/why", get(why))
        .route("/api/v1/pipelines/{pipeline}/verdict", get(verdict))
        .with_state(published)
}

async fn ready(State(published): State<Published>) -> Response {
    let Snapshot { ready, checks, .. } = published.read();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "checks": checks }))).into_response()
}

async fn metrics(State(published): State<Published>) -> Response {
    let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (kind, published.read().metrics()).into_response()
}

async fn why(State(published): State<Published>) -> Json<Value> {
    Json(published.read().why)
}

/// Always 200 where the verdict is known, so that a gate reads the verdict and not the status; 503 where another
/// process weighs this pipeline, so that a balancer asks that one; without `?candidate=` that of the first one.
async fn verdict(
    State(published): State<Published>,
    Path(pipeline): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let snapshot = published.read();
    let known = snapshot.pipeline().to_owned();
    let mut verdicts = snapshot.verdicts;
    let candidates: Vec<String> = verdicts.keys().cloned().collect();
    let wanted = query.get("candidate").or_else(|| candidates.first()).cloned().unwrap_or_default();
    match verdicts.remove(&wanted) {
        Some(verdict) if pipeline == known => Json(verdict).into_response(),
        _ if pipeline == known && candidates.is_empty() => {
            let error = json!({
                "error": "this process doesn't weigh the pipeline: the one that owns partition 0 does",
                "evaluator": snapshot.why["evaluator"],
            });
            let retry = [(header::RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, retry, Json(error)).into_response()
        }
        _ => {
            let error = json!({
                "error": format!("no candidate {wanted:?} of a pipeline {pipeline:?} here"),
                "pipelines": [known],
                "candidates": candidates,
            });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

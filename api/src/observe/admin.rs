//! The admin port: `/healthz`, `/readyz`, `/metrics`. Never published, never behind the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus_client::registry::Registry;
use service::metrics::{Exposition, expose};
use tokio::sync::Mutex;

use crate::write::coalescer::StoreError;
use crate::write::store::MongoStore;

/// For how long an answer of `/readyz` stands for the next ones, so that asking often is cheap.
const FRESH: Duration = Duration::from_secs(1);

/// Longest wait for MongoDB's answer: less than what health checks usually wait.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Admin {
    store: Arc<MongoStore>,
    registry: Registry,
    draining: Arc<AtomicBool>,
    /// Held while MongoDB is asked, so that one question is answered to all who ask meanwhile.
    last: Mutex<Option<(Instant, Result<(), StoreError>)>>,
}

impl Admin {
    /// Endpoints for `store` and the metrics in `registry`; not ready once `draining` is set.
    pub(crate) fn new(
        store: Arc<MongoStore>,
        registry: Registry,
        draining: Arc<AtomicBool>,
    ) -> Self {
        Self {
            store,
            registry,
            draining,
            last: Mutex::new(None),
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(StoreError("shutting down".to_owned()));
        }
        let mut last = self.last.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < FRESH
        {
            return result.clone();
        }
        let result = self.store.check_ready(READY_TIMEOUT).await;
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/healthz")
            .route(web::get().to(healthz))
            .route(web::head().to(healthz)),
    )
    .service(
        web::resource("/readyz")
            .route(web::get().to(readyz))
            .route(web::head().to(readyz)),
    )
    .service(web::resource("/metrics").route(web::get().to(metrics)));
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    match admin.check().await {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(reason) => HttpResponse::ServiceUnavailable().body(format!("not ready: {reason}\n")),
    }
}

async fn metrics(request: HttpRequest, admin: web::Data<Admin>) -> HttpResponse {
    let accept = request.headers().get(ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    match expose(&admin.registry, accept.unwrap_or_default()) {
        Ok(Exposition { media_type, text }) => {
            HttpResponse::Ok().content_type(media_type).body(text)
        }
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

//! A port: connections get a place, are served by actix-http, and are closed in order.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{
    AppConfig, Server, Service as _, ServiceFactory as _, ServiceRequest, ServiceResponse,
    fn_factory, fn_service,
};
use actix_web::http::{StatusCode, Uri};
use actix_web::web::{Bytes, ServiceConfig};
use actix_web::{App, HttpRequest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::budget::SPARE;
use crate::http::connections::{Account, Connections, Phase};
use crate::http::stream::{SHORT_LINGER, Stream, finished, linger, say};

/// How many connections without a place each worker sees off at a time; further ones are closed.
const REFUSALS: usize = SPARE / 2;

pub(crate) struct Port<Routes> {
    /// Who has a place.
    pub(crate) connections: Arc<Connections>,
    pub(crate) workers: usize,
    /// How long requests in flight may take when the server stops.
    pub(crate) patience: Duration,
    /// Adds the routes to an application, of which each worker has one.
    pub(crate) routes: Routes,
}

impl<Routes> Port<Routes>
where
    Routes: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    /// Serves HTTP/1.1 on `listener`, which is closed when the server stops.
    pub(crate) fn serve(self, listener: TcpListener) -> io::Result<Server> {
        let Self {
            connections,
            workers,
            patience,
            routes,
        } = self;
        let builder = Server::build()
            .workers(workers)
            // It is `connections` that decides; this is for what has no place yet.
            .max_concurrent_connections(connections.most().div_ceil(workers) + SPARE)
            .shutdown_timeout(patience.as_secs())
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let factory = move || {
            let (routes, connections) = (routes.clone(), Arc::clone(&connections));
            let stopping = stopping.clone();
            fn_factory(move || {
                let app = App::new()
                    .wrap_fn(|request, service| {
                        let account = request.conn_data::<Arc<Account>>().map(Arc::clone);
                        let working = account.map(Working::begin);
                        let response = service.call(request);
                        async move {
                            let (request, response) = response.await?.into_parts();
                            let response = ServiceResponse::new(let_go(request), response);
                            Ok(response.map_body(|_, body| Answer {
                                body,
                                _working: working,
                            }))
                        }
                    })
                    .configure(routes.clone());
                let app = map_config(app.into_factory(), |()| AppConfig::default())
                    .map_err(|error| error.error_response());
                let stopping = stopping.clone();
                let http = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    // Kept alive, and timed by the stream, as everything is.
                    .keep_alive(KeepAlive::Os)
                    .client_request_timeout(Duration::ZERO)
                    .on_connect_ext(|stream: &Stream, data| {
                        data.insert(Arc::clone(stream.account()));
                    })
                    .h1(app)
                    .new_service(());
                let connections = Arc::clone(&connections);
                async move {
                    let http = Rc::new(http.await?);
                    let refusals = Rc::new(Cell::new(0));
                    Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                        let (http, refusals) = (Rc::clone(&http), Rc::clone(&refusals));
                        let place = connections.admit();
                        async move {
                            let Ok(place) = place else {
                                refuse(&tcp, &refusals).await;
                                return Ok(());
                            };
                            let tcp = Rc::new(tcp);
                            let peer = tcp.peer_addr().ok().map(canonical);
                            let stream = Stream::new(Rc::clone(&tcp), Arc::clone(place.account()));
                            // What went wrong, if it did, concerns this client only, which knows.
                            let _ = http.call((stream, peer)).await;
                            linger(&tcp, place.account()).await;
                            Ok::<_, ()>(())
                        }
                    }))
                }
            })
        };
        Ok(builder.listen("api", listener, factory)?.run())
    }
}

/// Empties the head of a request that has been answered: actix keeps 128 of them for each worker, and
/// with the fields of each the connection's read buffer, long after the connection is gone.
/// No handler keeps its request: `head_mut` panics where there is a second handle to one.
fn let_go(request: HttpRequest) -> HttpRequest {
    let mut request = ServiceRequest::from_request(request);
    let head = request.head_mut();
    head.headers.clear();
    head.uri = Uri::default();
    request.into_parts().0
}

/// No place: told so, if not too many are being told already.
async fn refuse(tcp: &TcpStream, refusals: &Cell<usize>) {
    say(tcp, StatusCode::SERVICE_UNAVAILABLE);
    if refusals.get() >= REFUSALS {
        return;
    }
    refusals.set(refusals.get() + 1);
    // The request is read, so that the client isn't reset before it has its answer.
    let _ = timeout(SHORT_LINGER, finished(tcp)).await;
    refusals.set(refusals.get() - 1);
}

/// IPv4 as such, although a socket of both families has it as IPv6.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// A request that is being answered, from its head to the end of its answer.
struct Working(Arc<Account>);

impl Working {
    fn begin(account: Arc<Account>) -> Self {
        account.enter(Phase::Working);
        Self(account)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// An answer's body, and the mark that it isn't sent yet.
struct Answer<B> {
    body: B,
    _working: Option<Working>,
}

impl<B: MessageBody + Unpin> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

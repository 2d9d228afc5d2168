//! Serves the calls.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use carrick_tls::{Refusals, Tls};
use futures::future::{Either, select};
use futures::pin_mut;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::codegen::Service as _;
use tracing::{debug, info, warn};

use super::v1::admin_server::AdminServer as Calls;
use super::{Admin, AdminSocket, Caller, roles};
use crate::accept::{Accepted, accept, stopped};
use crate::http2;
use crate::socket::Listener;

/// Of one request or answer.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// By the unix socket, at once.
const LOCAL_MAX: usize = 64;
/// For calls under way, once told to stop.
const STOP_MAX: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The service around what answers the calls. Clones are the same.
pub struct AdminServer<T: Admin> {
    calls: Calls<T>,
    refusals: Refusals,
}

impl<T: Admin> Clone for AdminServer<T> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), refusals: self.refusals.clone() }
    }
}

impl<T: Admin> AdminServer<T> {
    pub fn new(admin: Arc<T>) -> Self {
        let calls = Calls::from_arc(admin)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { calls, refusals: Refusals::new("admin") }
    }

    /// Of the TLS port.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Until `stop` is told or its sender is gone; returns when every call was answered, or two seconds later.
    pub async fn serve_socket(self, socket: AdminSocket, mut stop: watch::Receiver<bool>) {
        let (open, mut gone) = mpsc::channel::<()>(1);
        let places = Arc::new(Semaphore::new(LOCAL_MAX));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, socket.listener.accept().await)
            };
            let (place, accepted) = {
                let stopped = stopped(&mut stop);
                pin_mut!(next, stopped);
                match select(stopped, next).await {
                    Either::Left(_) => break,
                    Either::Right((next, _)) => next,
                }
            };
            let caller = accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream)));
            let (uid, stream) = match caller {
                Ok(accepted) => accepted,
                Err(e) => {
                    warn!(error = %e, "accept failed on the admin socket");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (server, stop, open) = (self.clone(), stop.clone(), open.clone());
            tokio::spawn(async move {
                server.serve(stream, Caller::User { uid }, stop).await;
                drop((place, open));
            });
        }
        drop((socket, open));
        gone.recv().await;
    }

    /// As [`AdminServer::serve_socket`], for callers with certificates; their roles are checked.
    pub async fn serve_tls<L: Listener>(
        self,
        listener: L,
        tls: Tls,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        info!(address = %listener.address()?, "the admin port is open");
        let (refusals, of_each) = (self.refusals.clone(), stop.clone());
        let serve = move |accepted: Accepted<L::Stream>| {
            let (server, stop) = (self.clone(), of_each.clone());
            async move {
                let Accepted { stream, certificate, place, .. } = accepted;
                let caller = Caller::Certificate { names: certificate.names, roles: certificate.roles };
                server.serve(stream, caller, stop).await;
                drop(place);
            }
        };
        accept(listener, tls, refusals, stop, serve).await;
        Ok(())
    }

    async fn serve<S>(self, stream: S, caller: Caller, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let said = caller.to_string();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let checked = roles::check(&caller, request.uri().path());
            request.extensions_mut().insert(caller.clone());
            let mut calls = self.calls.clone();
            async move {
                match checked {
                    Ok(()) => calls.call(request).await,
                    Err(status) => Ok::<Response<_>, Infallible>(status.into_http()),
                }
            }
        });
        let connection = http2::server().serve_connection(TokioIo::new(stream), service);
        pin_mut!(connection);
        let ended = {
            let stopped = stopped(&mut stop);
            pin_mut!(stopped);
            match select(connection.as_mut(), stopped).await {
                Either::Left((ended, _)) => Some(ended),
                Either::Right(_) => None,
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(STOP_MAX, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(e) = ended {
            debug!(caller = said, error = %e, "an admin connection ended");
        }
    }
}

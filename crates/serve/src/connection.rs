//! One Kafka connection: requests are begun in order of arrival, up to eight are under way, answers leave in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carrick_broker::{Answer, Ask, Begun, Broker, Reply};
use carrick_sys::{Budget, Claim, Sys};
use carrick_types::limits::{REQUEST_BYTES_MAX, REQUESTS_PER_CONNECTION_MAX};
use carrick_wire::{
    ApiKey, ApiVersionsResponse, ErrorCode, HeaderError, RequestError, Response, Text, decode_request,
    encode_response,
};
use futures::future::{Either, pending, select};
use futures::stream::{FuturesOrdered, StreamExt as _};
use futures::{FutureExt as _, pin_mut, select_biased};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::accept::Drain;
use crate::frame::{FrameError, read_body, read_length, write_all};

/// Silence with nothing under way.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// To say goodbye.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    pub sys: Sys,
    pub broker: Broker,
    pub budget: Budget,
    pub drain: Drain,
    pub host: Text,
    pub port: u16,
    pub peer: SocketAddr,
}

/// A request under way: it holds its bytes' claim and its place.
struct UnderWay {
    correlation: i32,
    version: i16,
    begun: Begun,
    _claim: Option<Claim>,
    _place: OwnedSemaphorePermit,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client closed it")]
    ByClient,
    #[error("the node is stopping")]
    Draining,
    #[error("nothing came for {}s", IDLE_MAX.as_secs())]
    Idle,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a request could not be read: {0}")]
    Request(#[from] RequestError),
    #[error("an answer could not be written: {0}")]
    Answer(#[from] carrick_wire::EncodeError),
    #[error("{0}")]
    Refused(String),
}

/// Runs a connection to its end.
pub(crate) async fn serve(connection: Connection, stream: impl AsyncRead + AsyncWrite) {
    let (reading, writing) = split(stream);
    let (begun, answers) = mpsc::channel(REQUESTS_PER_CONNECTION_MAX);
    let peer = connection.peer;
    let read = read_requests(&connection, reading, begun);
    let write = write_answers(writing, answers);
    pin_mut!(read, write);
    let end = match select(read, write).await {
        // What is under way is still answered.
        Either::Left((end @ (End::Draining | End::ByClient), write)) => {
            let _ = write.await;
            end
        }
        Either::Left((end, _)) | Either::Right((Err(end), _)) => end,
        Either::Right((Ok(()), _)) => End::ByClient,
    };
    match end {
        End::ByClient | End::Draining | End::Idle | End::Frame(FrameError::Socket(_)) => {
            debug!(%peer, why = %end, "connection closed")
        }
        End::Request(_) | End::Refused(_) | End::Frame(_) => info!(%peer, why = %end, "connection closed"),
        End::Answer(_) => warn!(%peer, why = %end, "connection closed"),
    }
}

async fn read_requests(
    connection: &Connection,
    mut stream: impl AsyncRead + Unpin,
    begun: mpsc::Sender<UnderWay>,
) -> End {
    let places = Arc::new(Semaphore::new(REQUESTS_PER_CONNECTION_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return End::Draining;
        };
        match read_request(connection, &mut stream, &places, place).await {
            Ok(under_way) => {
                if begun.send(under_way).await.is_err() {
                    return End::ByClient;
                }
            }
            Err(end) => return end,
        }
    }
}

async fn read_request(
    connection: &Connection,
    stream: &mut (impl AsyncRead + Unpin),
    places: &Semaphore,
    place: OwnedSemaphorePermit,
) -> Result<UnderWay, End> {
    let length = next_length(connection, stream, places).await?;
    let (frame, claim) = read_body(stream, length, &connection.budget).await?;
    let (header, request) = match decode_request(frame) {
        Ok(decoded) => decoded,
        Err(RequestError::Header(HeaderError::UnsupportedVersion {
            api_key: ApiKey::ApiVersions,
            correlation_id,
            ..
        })) => return Ok(too_new(correlation_id, place)),
        Err(failed) => return Err(failed.into()),
    };
    let ask = Ask {
        version: header.api_version,
        host: connection.host.clone(),
        port: connection.port,
        client: header.client_id.unwrap_or_default(),
        client_host: Text::from(format!("/{}", connection.peer.ip())),
    };
    let begun = connection.broker.begin(ask, request).await;
    let (correlation, version) = (header.correlation_id, header.api_version);
    Ok(UnderWay { correlation, version, begun, _claim: Some(claim), _place: place })
}

async fn next_length(
    connection: &Connection,
    stream: &mut (impl AsyncRead + Unpin),
    places: &Semaphore,
) -> Result<usize, End> {
    let mut head = Vec::with_capacity(4);
    loop {
        let mut idle = connection.sys.clock.sleep(IDLE_MAX).fuse();
        let draining = connection.drain.begun().fuse();
        let length = read_length(stream, &mut head, REQUEST_BYTES_MAX).fuse();
        pin_mut!(draining, length);
        return select_biased! {
            length = length => length?.ok_or(End::ByClient),
            () = draining => Err(End::Draining),
            // One place is this reader's own.
            // One place is this reader's own: no other is taken, so nothing is under way.
            () = idle => match places.available_permits() + 1 {
                REQUESTS_PER_CONNECTION_MAX => Err(End::Idle),
                _ => continue,
            },
        };
    }
}

/// A client newer than us learns our ranges from an answer of version 0 (KIP-511).
fn too_new(correlation: i32, place: OwnedSemaphorePermit) -> UnderWay {
    let answer = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.code(),
        api_keys: Broker::api_ranges(),
        ..Default::default()
    };
    let begun = Box::pin(async move { Reply::from(answer) });
    UnderWay { correlation, version: 0, begun, _claim: None, _place: place }
}

async fn write_answers(
    mut stream: impl AsyncWrite + Unpin,
    mut requests: mpsc::Receiver<UnderWay>,
) -> Result<(), End> {
    let mut under_way = FuturesOrdered::new();
    let mut more = true;
    loop {
        if !more && under_way.is_empty() {
            // TLS says that this is the end; a peer that does not listen any more need not hear it.
            let _ = timeout(SHUTDOWN_MAX, stream.shutdown()).await;
            return Ok(());
        }
        let next = {
            let request = async { if more { requests.recv().await } else { pending().await } }.fuse();
            pin_mut!(request);
            // Empty, it is never ready.
            select_biased! {
                answered = under_way.select_next_some() => Next::Answered(answered),
                request = request => Next::Request(request),
            }
        };
        let (request, reply) = match next {
            Next::Answered(answered) => answered,
            Next::Request(None) => {
                more = false;
                continue;
            }
            Next::Request(Some(request)) => {
                under_way.push_back(finish(request));
                continue;
            }
        };
        match reply.answer {
            Answer::Nothing => {}
            Answer::Close(why) => return Err(End::Refused(why)),
            Answer::Response(response) => write_answer(&mut stream, &request, &response).await?,
        }
        drop((request, reply.claims));
    }
}

enum Next {
    Answered((Answered, Reply)),
    Request(Option<UnderWay>),
}

/// What is left of a request once it was answered.
struct Answered {
    correlation: i32,
    version: i16,
    _claim: Option<Claim>,
    _place: OwnedSemaphorePermit,
}

async fn finish(request: UnderWay) -> (Answered, Reply) {
    let UnderWay { correlation, version, begun, _claim, _place } = request;
    let reply = begun.await;
    (Answered { correlation, version, _claim, _place }, reply)
}

async fn write_answer(
    stream: &mut (impl AsyncWrite + Unpin),
    request: &Answered,
    response: &Response,
) -> Result<(), End> {
    let frame = encode_response(request.correlation, request.version, response)?;
    Ok(write_all(stream, frame.segments()).await?)
}

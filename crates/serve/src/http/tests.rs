use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Says what a test put there.
#[derive(Default)]
struct Said {
    health: Mutex<Option<String>>,
    ready: Mutex<Option<String>>,
}

impl Eyes for Said {
    fn health(&self) -> Result<(), String> {
        self.health.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(async { "carrick_up 1\n".into() })
    }
}

struct Served {
    address: SocketAddr,
    said: Arc<Said>,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<io::Result<()>>,
}

fn serve(limits: Limits) -> Served {
    let said = Arc::new(Said::default());
    let listener = HttpListener { limits, ..HttpListener::bind(([127, 0, 0, 1], 0).into()).unwrap() };
    let (address, (stop, stopped)) = (listener.address(), watch::channel(false));
    let eyes: Arc<dyn Eyes> = Arc::clone(&said) as _;
    Served { address, said, stop, serving: tokio::spawn(listener.serve(eyes, stopped)) }
}

/// All that the other end says until it closes. A reset says nothing more.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut some = [0; 4096];
    let read = async {
        while let Ok(n @ 1..) = stream.read(&mut some).await {
            said.extend_from_slice(&some[..n]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    String::from_utf8(said).unwrap()
}

impl Served {
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // It may be refused before its end.
        let _ = stream.write_all(request).await;
        rest(&mut stream).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let said = self.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await;
        parse(&said)
    }
}

fn parse(said: &str) -> (u16, String) {
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

fn text(status: u16, body: &str) -> (u16, String) {
    (status, body.to_string())
}

#[tokio::test]
async fn each_route_answers() {
    let served = serve(LIMITS);
    assert_eq!(served.get("/healthz").await, text(200, "ok\n"));
    assert_eq!(served.get("/readyz").await, text(200, "ready\n"));
    assert_eq!(served.get("/metrics?x=y").await, text(200, "carrick_up 1\n"));
    assert_eq!(served.get("/").await.0, 404);

    *served.said.ready.lock().unwrap() = Some("starting".into());
    assert_eq!(served.get("/readyz").await, text(503, "starting\n"));
    assert_eq!(served.get("/healthz").await, text(200, "ok\n"));
    *served.said.health.lock().unwrap() = Some("a sync failed".into());
    assert_eq!(served.get("/healthz").await, text(503, "a sync failed\n"));

    let posted = served.send(b"POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert!(parse(&posted).0 == 405 && posted.contains("allow: GET\r\n"), "{posted}");

    served.stop.send_replace(true);
    served.serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let served = serve(LIMITS);
    let request = format!("GET /healthz HTTP/1.1\r\nx: {}", "y".repeat(64 * 1024));
    let said = served.send(request.as_bytes()).await;
    assert!(said.is_empty() || parse(&said).0 == 431, "{said}");
    assert_eq!(served.get("/healthz").await.0, 200);
    assert!(!served.send(b"\x16\x03\x01\x00\xff\r\n\r\n").await.contains("200"), "no HTTP at all");
}

#[tokio::test]
async fn a_slow_client_loses_its_connection_and_nobody_elses() {
    let served = serve(Limits { head: Duration::from_millis(200), ..LIMITS });
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /healthz HT").await.unwrap();
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(served.get("/healthz").await.0, 200);
    assert!(!rest(&mut slow).await.contains("200"));
    assert!(!rest(&mut silent).await.contains("200"));
}

#[tokio::test]
async fn connections_are_bounded_and_their_places_come_back() {
    let served = serve(Limits { connections: 2, whole: Duration::from_millis(300), ..LIMITS });
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert_eq!(served.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await, "");
    for stream in &mut held {
        assert_eq!(rest(stream).await, "", "closed when its time was over");
    }
    assert_eq!(served.get("/healthz").await.0, 200);
}

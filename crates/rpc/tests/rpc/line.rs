//! A TCP line between two ends that can stall, be slow or break.

use std::io;
use std::time::{Duration, Instant};

use carrick_rpc::Endpoint;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::ends::at;

#[derive(Clone, Copy, PartialEq)]
pub enum Weather {
    Fair,
    /// Bytes a second.
    Slow(u32),
    /// Nothing passes, nobody is told.
    Stalled,
    /// Reset.
    Broken,
}

pub struct Line {
    pub endpoint: Endpoint,
    pub weather: watch::Sender<Weather>,
}

impl Line {
    pub async fn to(end: &Endpoint) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that the line holds little: a slow line's queue, not a store.
        socket.set_recv_buffer_size(128 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let endpoint = at(listener.local_addr().unwrap().port());
        let (weather, seen) = watch::channel(Weather::Fair);
        tokio::spawn(carry(listener, end.port, seen));
        Self { endpoint, weather }
    }

    pub fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn carry(listener: TcpListener, to: u16, weather: watch::Receiver<Weather>) {
    while let Ok((near, _)) = listener.accept().await {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(128 << 10).unwrap();
        let far = socket.connect(([127, 0, 0, 1], to).into()).await.unwrap();
        for end in [&near, &far] {
            SockRef::from(end).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::spawn(pass(near_read, far_write, weather.clone()));
        tokio::spawn(pass(far_read, near_write, weather.clone()));
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut some = vec![0; 16 << 10];
    let mut due = Instant::now();
    loop {
        let now = *weather.borrow_and_update();
        let read = match now {
            Weather::Broken => return Ok(()),
            Weather::Stalled => {
                let _ = weather.changed().await;
                continue;
            }
            Weather::Fair | Weather::Slow(_) => {
                let next = std::pin::pin!(from.read(&mut some));
                let change = std::pin::pin!(weather.changed());
                match futures::future::select(next, change).await {
                    futures::future::Either::Left((read, _)) => read?,
                    futures::future::Either::Right(_) => continue,
                }
            }
        };
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(&some[..read]).await?;
        if let Weather::Slow(rate) = now {
            due = due.max(Instant::now()) + Duration::from_secs_f64(read as f64 / f64::from(rate));
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

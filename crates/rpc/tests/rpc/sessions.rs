//! What a connection promises to `link`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use carrick_rpc::{Connection, GRACE, MESSAGE_BYTES_MAX, WINDOW_BYTES, dial};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::timeout;

use crate::ends::{Port, soon, within};
use crate::line::{Line, Weather};
use crate::pki::Pki;

async fn joined() -> (Port, Connection, Connection) {
    let pki = Pki::new();
    let tls = pki.node();
    let mut port = Port::open(tls.clone()).await;
    let (dialled, accepted) = port.join(&tls).await;
    (port, dialled, accepted)
}

/// Sends back what comes until nothing comes.
async fn echo(mut connection: Connection) {
    while let Some(message) = connection.incoming.recv().await {
        if connection.outgoing.send(message.into()).await.is_err() {
            return;
        }
    }
}

fn message(at: usize, size: usize) -> Bytes {
    let mut bytes = vec![at as u8; size];
    let number = (at as u64).to_be_bytes();
    let head = size.min(8);
    bytes[..head].copy_from_slice(&number[..head]);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_come_back_whole_and_in_order() {
    let (_port, mut dialled, accepted) = joined().await;
    tokio::spawn(echo(accepted));
    let size = |at: usize| match at % 10 {
        0 => at,
        1 => MESSAGE_BYTES_MAX,
        _ => 256 << 10,
    };
    let outgoing = dialled.outgoing.clone();
    tokio::spawn(async move {
        for at in 0..1_000 {
            outgoing.send(message(at, size(at)).into()).await.unwrap();
        }
    });
    for at in 0..1_000 {
        let back = soon(dialled.incoming.recv()).await.unwrap();
        assert!(back == message(at, size(at)), "message {at} of {} bytes", back.len());
    }
}

/// `what` must end both halves of `kept` within a second.
async fn ends(mut kept: Connection, what: &str) {
    let begun = Instant::now();
    within(GRACE, kept.outgoing.closed()).await;
    assert_eq!(within(GRACE, kept.incoming.recv()).await, None, "{what}");
    assert!(begun.elapsed() < GRACE, "{what}");
}

#[tokio::test]
async fn either_half_dropped_ends_both_ends() {
    for half in ["both", "outgoing", "incoming"] {
        for dialler in [true, false] {
            let (_port, dialled, accepted) = joined().await;
            let (dropped, kept) = if dialler { (dialled, accepted) } else { (accepted, dialled) };
            let what = format!("{half} by the dialler: {dialler}");
            let Connection { outgoing, mut incoming, .. } = dropped;
            match half {
                "outgoing" => {
                    drop(outgoing);
                    ends(kept, &what).await;
                    assert_eq!(within(GRACE, incoming.recv()).await, None, "{what}");
                }
                "incoming" => {
                    drop(incoming);
                    ends(kept, &what).await;
                    within(GRACE, outgoing.closed()).await;
                }
                _ => {
                    drop((outgoing, incoming));
                    ends(kept, &what).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives() {
    for dialler in [true, false] {
        let (_port, dialled, accepted) = joined().await;
        let (dropped, mut kept) = if dialler { (dialled, accepted) } else { (accepted, dialled) };
        for at in 0..10 {
            dropped.outgoing.send(message(at, 100_000).into()).await.unwrap();
        }
        drop(dropped);
        for at in 0..10 {
            assert_eq!(
                soon(kept.incoming.recv()).await,
                Some(message(at, 100_000)),
                "by the dialler: {dialler}"
            );
        }
        assert_eq!(within(GRACE, kept.incoming.recv()).await, None);
    }
}

#[tokio::test]
async fn what_arrived_before_a_slow_reader_looked_is_not_lost_at_the_end() {
    let (_port, mut dialled, accepted) = joined().await;
    for at in 0..30 {
        accepted.outgoing.send(message(at, 1_000).into()).await.unwrap();
    }
    drop(accepted);
    // The transport is gone long before.
    tokio::time::sleep(GRACE * 2).await;
    for at in 0..30 {
        assert_eq!(soon(dialled.incoming.recv()).await, Some(message(at, 1_000)));
    }
    assert_eq!(soon(dialled.incoming.recv()).await, None);
}

#[tokio::test]
async fn a_message_that_no_peer_takes_ends_the_connection_that_made_it() {
    let (_port, dialled, accepted) = joined().await;
    dialled.outgoing.send(vec![0; MESSAGE_BYTES_MAX + 1].into()).await.unwrap();
    ends(accepted, "the peer's").await;
    ends(dialled, "its own").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_the_sender_back() {
    let (_port, dialled, mut accepted) = joined().await;
    let size = 256 << 10;
    let mut sent = 0;
    while let Ok(taken) =
        timeout(Duration::from_secs(1), dialled.outgoing.send(message(sent, size).into())).await
    {
        taken.unwrap();
        sent += 1;
    }
    let windows = WINDOW_BYTES as usize / size;
    // The window, two queues, and what stands between them.
    assert!((windows..windows + 64).contains(&sent), "{sent} messages");
    // Nothing of it was lost, and the pipe flows again; the one that was given up was not sent.
    for at in 0..sent {
        assert!(soon(accepted.incoming.recv()).await == Some(message(at, size)), "message {at}");
    }
    assert_eq!(accepted.incoming.try_recv(), Err(TryRecvError::Empty));
    dialled.outgoing.send("more".into()).await.unwrap();
    assert_eq!(soon(accepted.incoming.recv()).await.unwrap(), "more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_not_held_up_by_a_reader_that_does_not_read() {
    for reader_goes in [true, false] {
        let (_port, dialled, mut accepted) = joined().await;
        let full = async { while dialled.outgoing.send(message(0, 256 << 10).into()).await.is_ok() {} };
        assert!(timeout(Duration::from_secs(1), full).await.is_err(), "the pipe is full");
        if reader_goes {
            drop(accepted);
            within(GRACE, dialled.outgoing.closed()).await;
        } else {
            drop(dialled);
            within(GRACE * 2, accepted.outgoing.closed()).await;
            let rest = async { while accepted.incoming.recv().await.is_some() {} };
            within(GRACE, rest).await;
        }
    }
}

#[tokio::test]
async fn a_peer_that_fell_silent_is_lost_within_four_seconds_and_a_broken_one_at_once() {
    let tls = Pki::new().node();
    let mut port = Port::open(tls.clone()).await;
    for (weather, patience) in [(Weather::Stalled, 4), (Weather::Broken, 1)] {
        let line = Line::to(&port.endpoint).await;
        let mut dialled = dial(&line.endpoint, &tls).await.unwrap();
        let mut accepted = soon(port.connections.recv()).await.unwrap();
        dialled.outgoing.send("there".into()).await.unwrap();
        assert_eq!(soon(accepted.incoming.recv()).await.unwrap(), "there");
        // Silence alone ends nothing.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(accepted.incoming.try_recv(), Err(TryRecvError::Empty));
        line.turn(weather);
        for end in [&mut dialled, &mut accepted] {
            assert_eq!(within(Duration::from_secs(patience), end.incoming.recv()).await, None);
            within(Duration::from_secs(1), end.outgoing.closed()).await;
        }
    }
}

#[tokio::test]
async fn a_slow_line_that_is_full_is_not_taken_for_a_silent_one() {
    let tls = Pki::new().node();
    let mut port = Port::open(tls.clone()).await;
    let line = Line::to(&port.endpoint).await;
    let dialled = dial(&line.endpoint, &tls).await.unwrap();
    let mut accepted = soon(port.connections.recv()).await.unwrap();
    line.turn(Weather::Slow(1_000_000));
    let pushing = async {
        let mut at = 0;
        while dialled.outgoing.send(message(at, 256 << 10).into()).await.is_ok() {
            at += 1;
        }
    };
    let reading = async {
        for at in 0..32 {
            assert!(soon(accepted.incoming.recv()).await == Some(message(at, 256 << 10)), "message {at}");
        }
    };
    let (pushing, reading) = (std::pin::pin!(pushing), std::pin::pin!(reading));
    assert!(matches!(futures::future::select(reading, pushing).await, futures::future::Either::Left(_)));
}

#[tokio::test]
async fn a_port_that_closes_lets_sessions_say_goodbye() {
    let (port, mut dialled, accepted) = joined().await;
    port.stop.send_replace(true);
    accepted.outgoing.send("goodbye".into()).await.unwrap();
    drop(accepted);
    assert_eq!(soon(dialled.incoming.recv()).await.unwrap(), "goodbye");
    within(GRACE, port.served).await.unwrap();
    assert_eq!(soon(dialled.incoming.recv()).await, None);
}

#[tokio::test]
async fn a_port_that_closes_waits_for_nobody_for_ever() {
    let (port, dialled, mut accepted) = joined().await;
    port.stop.send_replace(true);
    within(Duration::from_secs(4), port.served).await.unwrap();
    assert_eq!(soon(accepted.incoming.recv()).await, None);
    within(GRACE, dialled.outgoing.closed()).await;
}

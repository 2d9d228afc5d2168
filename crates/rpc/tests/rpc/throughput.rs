//! Not a benchmark: it fails where the transport stalls, and says how fast it was.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ends::{Port, within};
use crate::pki::Pki;

const TOTAL: usize = 256 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_of_a_gigabyte_passes_without_stalls() {
    let tls = Pki::new().node();
    for size in [1 << 20, 256 << 10, 64 << 10, 4 << 10] {
        let mut port = Port::open(tls.clone()).await;
        let (dialled, mut accepted) = port.join(&tls).await;
        let message = Bytes::from(vec![7; size]);
        let begun = Instant::now();
        tokio::spawn(async move {
            for _ in 0..TOTAL / size {
                dialled.outgoing.send(message.clone().into()).await.unwrap();
            }
            dialled.outgoing.closed().await;
        });
        // With Nagle on it takes minutes.
        within(Duration::from_secs(60), async {
            let mut left = TOTAL;
            while left > 0 {
                left -= accepted.incoming.recv().await.unwrap().len();
            }
        })
        .await;
        let rate = TOTAL as f64 / begun.elapsed().as_secs_f64() / 1e6;
        println!("messages of {} KiB: {rate:.0} MB/s", size >> 10);
    }
}

//! Two small messages, one shortly after the other, and an answer to the second. With Nagle's algorithm on, the second waits for
//! the acknowledgement of the first, which the peer's kernel delays by 40 ms; a rate on loopback does not show that.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::time::timeout;

use super::{Line, PATIENCE};
use crate::samples::Samples;

const ROUNDS: usize = 25;
/// More than it takes to hand the first to the kernel.
const APART: Duration = Duration::from_millis(1);

/// Milliseconds from the second message to its answer; the median of some.
pub async fn ask_twice(line: &mut Line) -> anyhow::Result<f64> {
    let message = Bytes::from_static(&[7; 100]);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        line.near.outgoing.send(message.clone().into()).await?;
        tokio::time::sleep(APART).await;
        let begun = Instant::now();
        line.near.outgoing.send(message.clone().into()).await?;
        let lost = "the link's connection was lost";
        let answered = async {
            line.far.incoming.recv().await.context(lost)?;
            let second = line.far.incoming.recv().await.context(lost)?;
            line.far.outgoing.send(second.into()).await?;
            line.near.incoming.recv().await.context(lost)
        };
        timeout(PATIENCE, answered).await.context("small messages stall")??;
        rounds.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(rounds.into_iter().collect::<Samples>().median())
}

//! A line that brings a frame of an older attempt again, with the number of the newer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut as _, Bytes, BytesMut};
use carrick_link::{Connection, DialError, Dialer};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Of the link's protocol: `Envelope.data`, and of `Data`.
const DATA: u64 = 20;
const SUBSCRIPTION: u64 = 1;
const ATTEMPT: u64 = 2;
const PARTS: u64 = 5;
const RECORDS: u64 = 15;

/// The newest frame of each subscription: connection, attempt, records.
#[derive(Default)]
pub struct Frames {
    connections: AtomicU64,
    newest: Mutex<BTreeMap<u64, (u64, u64, Bytes)>>,
}

pub struct ReusedAttempt {
    pub inner: Arc<dyn Dialer>,
    pub frames: Arc<Frames>,
}

impl Dialer for ReusedAttempt {
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (dialled, frames) = (self.inner.dial(peer), Arc::clone(&self.frames));
        Box::pin(async move {
            let Connection { outgoing, mut incoming, peer } = dialled.await?;
            let (given, changed) = mpsc::channel(1);
            let connection = frames.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                while let Some(message) = incoming.recv().await {
                    let message = frames.pass(connection, &message).unwrap_or(message);
                    if given.send(message).await.is_err() {
                        return;
                    }
                }
            });
            Ok(Connection { outgoing, incoming: changed, peer })
        })
    }
}

impl Frames {
    /// The first frame of an attempt has the records of the last frame of the attempt before. None for what stays as it is.
    fn pass(&self, connection: u64, message: &Bytes) -> Option<Bytes> {
        let (DATA, Value::Bytes(data)) = fields(message)?.pop()? else { return None };
        let mut data = fields(&data)?;
        let number = |wanted| {
            let found = data.iter().find(|(field, _)| *field == wanted);
            found.map_or(0, |(_, value)| if let Value::Number(n) = value { *n } else { 0 })
        };
        let (subscription, attempt, parts) = (number(SUBSCRIPTION), number(ATTEMPT), number(PARTS));
        let (RECORDS, Value::Bytes(records)) = data.last()?.clone() else { return None };
        if parts != 1 {
            return None;
        }
        let before = self.newest.lock().insert(subscription, (connection, attempt, records));
        let (.., older) = before.filter(|(c, a, _)| (*c, *a) != (connection, attempt))?;
        data.pop();
        data.push((RECORDS, Value::Bytes(older)));
        Some(encode(&[(DATA, Value::Bytes(encode(&data)))]))
    }
}

#[derive(Clone)]
enum Value {
    Number(u64),
    Bytes(Bytes),
}

/// Fields of a protobuf message, of the two kinds that are met here.
fn fields(message: &Bytes) -> Option<Vec<(u64, Value)>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let tag = varint(message, &mut at)?;
        let value = varint(message, &mut at)?;
        let value = match tag & 7 {
            0 => Value::Number(value),
            2 => {
                let end = at.checked_add(value as usize).filter(|end| *end <= message.len())?;
                Value::Bytes(message.slice(std::mem::replace(&mut at, end)..end))
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn varint(from: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *from.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn encode(fields: &[(u64, Value)]) -> Bytes {
    let mut into = BytesMut::new();
    for (field, value) in fields {
        match value {
            Value::Number(number) => {
                put(&mut into, field << 3);
                put(&mut into, *number);
            }
            Value::Bytes(bytes) => {
                put(&mut into, field << 3 | 2);
                put(&mut into, bytes.len() as u64);
                into.extend_from_slice(bytes);
            }
        }
    }
    into.freeze()
}

fn put(into: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        into.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

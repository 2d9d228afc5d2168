//! Every length prefix says something else than is there: one at a time, of every message in every version.

use carrick_wire::ApiKey;

use crate::cases::{cases, hold};
use crate::draw::{Direction, Drawn, Length, Width, draw, every_message, varint};
use crate::hostile::{Seen, TASTE};

/// The body in which the lengths of the first round lie.
const SEED: u64 = 3;

/// A body and one of its lengths.
struct Lie {
    message: (ApiKey, i16, Direction),
    drawn: usize,
    length: Length,
    value: i64,
}

/// Every lie about one body of each message.
struct Table {
    bodies: Vec<Drawn>,
    lies: Vec<Lie>,
}

impl Table {
    fn of(seed: u64) -> Self {
        let mut table = Self { bodies: Vec::new(), lies: Vec::new() };
        for message in every_message() {
            let drawn = draw(message.0, message.1, message.2, TASTE, seed);
            for &length in &drawn.lengths {
                let left = (drawn.body.len() - length.at - length.bytes) as i64;
                let values = [-1, 0, 1, left, left + 1, i32::MAX.into(), length.max(), -2, i32::MIN.into()];
                let lie = |value| Lie { message, drawn: table.bodies.len(), length, value };
                table.lies.extend(values.map(lie));
            }
            table.bodies.push(drawn);
        }
        table
    }
}

impl Length {
    /// The greatest that its width can say.
    fn max(self) -> i64 {
        match self.width {
            Width::Two => i16::MAX.into(),
            Width::Four => i32::MAX.into(),
            Width::Varint => i64::from(u32::MAX) - 1,
        }
    }
}

/// `drawn` with one length replaced by another.
fn with_length(drawn: &Drawn, length: Length, value: i64) -> Vec<u8> {
    let written = match length.width {
        Width::Two => (value as i16).to_be_bytes().to_vec(),
        Width::Four => (value as i32).to_be_bytes().to_vec(),
        // As an array or a text has it, one more than the length; a tagged field's is then one too much.
        Width::Varint => varint((value + 1) as u32 as u64),
    };
    let mut body = drawn.body.clone();
    body.splice(length.at..length.at + length.bytes, written);
    body
}

/// The whole table, then that of other bodies.
#[test]
fn every_length_is_lied_about() {
    let mut seen = Seen::default();
    let (mut seed, mut first, mut table) = (SEED, 0, Table::of(SEED));
    assert!(table.lies.len() > 3_000, "{}", table.lies.len());
    let whole = table.lies.len() as u64;
    hold(cases(whole, whole), |case| {
        while case - first >= table.lies.len() as u64 {
            (seed, first) = (seed + 1, first + table.lies.len() as u64);
            table = Table::of(seed);
        }
        let Lie { message: (key, version, direction), drawn, length, value } =
            table.lies[(case - first) as usize];
        seen.decode(key, version, direction, with_length(&table.bodies[drawn], length, value));
    });
    println!("{seen:?}");
}

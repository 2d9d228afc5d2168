//! Envelopes that mean harm: no panic, and memory bounded by what came.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: they end at the first surprise"
)]

#[cfg(test)]
#[path = "../../../tests/campaign/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "../../wire/tests/codec/counting.rs"]
mod counting;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use carrick_proto::v1::Envelope;
    use prost::Message as _;
    use prost::encoding::{WireType, encode_key, encode_varint};

    use crate::cases::{cases, hold, own_share};
    use crate::counting::peak_bytes_of;

    /// An element of an array may take two bytes and be nothing but defaults: here it takes what its struct does, and as the
    /// array grows its old half beside the new one. A Topic is the largest; a message has at most 1 MiB.
    const TIMES_MAX: usize = 100;

    /// Xorshift, from a number of its own.
    struct Draw(u64);

    impl Draw {
        fn of(case: u64) -> Self {
            let mixed = (case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Self((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
        }

        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }
    }

    /// Fields of any numbers and types, in one another, some with lengths that lie.
    fn message(draw: &mut Draw, depth: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..draw.below(7) {
            let tag = 1 + draw.below(24) as u32;
            match draw.below(6) {
                0 => {
                    encode_key(tag, WireType::Varint, &mut bytes);
                    let bits = draw.below(64);
                    encode_varint(draw.below(u64::MAX) >> bits, &mut bytes);
                }
                1 => bytes.extend((0..draw.below(20)).map(|_| draw.below(256) as u8)),
                _ => {
                    let inner = match depth {
                        0 => (0..[16, draw.below(40)][draw.below(2) as usize])
                            .map(|_| draw.below(128) as u8)
                            .collect(),
                        _ => message(draw, depth - 1),
                    };
                    let many = draw.below(300).min(20_000 / (inner.len() as u64 + 1));
                    let times = if draw.below(20) == 0 { many } else { 1 };
                    for _ in 0..times {
                        encode_key(tag, WireType::LengthDelimited, &mut bytes);
                        let lie = [inner.len() as u64, inner.len() as u64 + 1, 1 << draw.below(63)];
                        let said = if draw.below(12) == 0 { lie[draw.below(3) as usize] } else { lie[0] };
                        encode_varint(said, &mut bytes);
                        bytes.extend(&inner);
                    }
                }
            }
        }
        bytes
    }

    fn decode(bytes: Vec<u8>) -> (bool, usize) {
        let bound = bytes.len() * TIMES_MAX + 64 * 1024;
        let bytes = Bytes::from(bytes);
        let (accepted, peak) = peak_bytes_of(|| Envelope::decode(bytes).is_ok());
        assert!(peak <= bound, "{peak} bytes where {bound} are allowed");
        (accepted, peak)
    }

    #[test]
    fn hostile_envelopes_stay_within_the_bound() {
        let mut accepted = 0;
        let cases = cases(50_000, 200_000);
        let all = cases.end - cases.start;
        hold(cases, |case| {
            let mut draw = Draw::of(case);
            let mut bytes = message(&mut draw, 3);
            if draw.below(3) == 0 && !bytes.is_empty() {
                let at = draw.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << draw.below(8);
            }
            accepted += u64::from(decode(bytes).0);
        });
        assert!(!own_share() || accepted > all / 50, "{accepted} of {all}");
    }

    #[test]
    fn elements_of_two_bytes_each_stay_within_the_bound() {
        let mut most = 0;
        for body in 1..32 {
            for field in 1..8 {
                let elements = [(field << 3 | 2) as u8, 0].repeat(1 << 16);
                let mut bytes = Vec::new();
                encode_key(body, WireType::LengthDelimited, &mut bytes);
                encode_varint(elements.len() as u64, &mut bytes);
                bytes.extend(elements);
                let len = bytes.len();
                most = most.max(decode(bytes).1 / len);
            }
        }
        println!("memory is up to {most} times what came");
        assert!(most > 8, "a smaller bound holds");
    }
}

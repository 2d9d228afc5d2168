//! Draws well-formed bodies from the schema alone, without the codec under test, and notes where their lengths lie.

use carrick_wire::ApiKey;
use carrick_wire::schema::{Field, Kind};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Which of an API's two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

/// Every message in every version.
pub fn every_message() -> impl Iterator<Item = (ApiKey, i16, Direction)> {
    ApiKey::ALL.iter().flat_map(|&key| {
        (key.range().min..=key.range().max).flat_map(move |version| {
            [(key, version, Direction::Request), (key, version, Direction::Response)]
        })
    })
}

#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// Arrays have fewer elements than this.
    pub elements_end: usize,
    /// Whether to add tagged fields that no table knows.
    pub unknown_tags: bool,
}

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Two,
    Four,
    Varint,
}

/// A length field of a drawn body.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub at: usize,
    pub width: Width,
    /// A varint length takes as many bytes as this.
    pub bytes: usize,
}

/// A drawn body.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    pub body: Vec<u8>,
    pub lengths: Vec<Length>,
}

pub fn draw(key: ApiKey, version: i16, direction: Direction, taste: Taste, seed: u64) -> Drawn {
    let schema = match direction {
        Direction::Request => key.request_schema(),
        Direction::Response => key.response_schema(),
    };
    let flexible = key.is_flexible(version);
    let mut draw =
        Draw { rng: SmallRng::seed_from_u64(seed), version, flexible, taste, drawn: Drawn::default() };
    draw.value(&schema, false);
    draw.drawn
}

struct Draw {
    rng: SmallRng,
    version: i16,
    flexible: bool,
    taste: Taste,
    drawn: Drawn,
}

impl Draw {
    /// `special`: never what could be a default, since a tagged field of its default is not sent.
    fn value(&mut self, kind: &Kind, special: bool) {
        match kind {
            Kind::Bool => {
                let truth = special || self.rng.random();
                self.drawn.body.push(u8::from(truth));
            }
            Kind::Int8 => self.number(1, special),
            Kind::Int16 => self.number(2, special),
            Kind::Int32 => self.number(4, special),
            Kind::Int64 => self.number(8, special),
            Kind::Uuid => self.number(16, special),
            Kind::Text => {
                let letters = ["a", "Z", "7", "-", "_", ".", "é", "𝄞"];
                let count = self.rng.random_range(usize::from(special)..12);
                let text: String =
                    (0..count).map(|_| letters[self.rng.random_range(0..letters.len())]).collect();
                self.length(Some(text.len()), Width::Two);
                self.drawn.body.extend(text.bytes());
            }
            Kind::Bytes => {
                let count = self.rng.random_range(usize::from(special)..120);
                self.length(Some(count), Width::Four);
                self.drawn.body.extend((0..count).map(|_| self.rng.random::<u8>()));
            }
            Kind::Array { of, .. } => {
                let count = self.rng.random_range(usize::from(special)..self.taste.elements_end);
                self.length(Some(count), Width::Four);
                (0..count).for_each(|_| self.value(of, false));
            }
            Kind::Struct(fields) => self.structure(fields, special),
            Kind::Nullable(kind) => {
                if matches!(kind, Kind::Struct(_)) {
                    self.drawn.body.push(1);
                }
                self.value(kind, special);
            }
        }
    }

    fn null(&mut self, kind: &Kind) {
        match kind {
            Kind::Struct(_) => self.drawn.body.push(0xff),
            Kind::Text => self.length(None, Width::Two),
            _ => self.length(None, Width::Four),
        }
    }

    fn structure(&mut self, fields: &[Field], special: bool) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.in_body(version)) {
            match &field.kind {
                Kind::Nullable(kind)
                    if field.null.contains(self.version) && !special && self.rng.random_ratio(1, 4) =>
                {
                    self.null(kind);
                }
                kind => self.value(kind, special),
            }
        }
        if self.flexible {
            self.tags(fields, special);
        }
    }

    fn tags(&mut self, fields: &[Field], special: bool) {
        let mut known: Vec<&Field> = fields.iter().filter(|field| field.in_tags(self.version)).collect();
        known.retain(|_| special || self.rng.random());
        let unknown = if self.taste.unknown_tags { self.rng.random_range(0..3) } else { 0 };
        self.varint(known.len() + unknown);
        for field in known {
            self.varint(field.tag.expect("a tagged field") as usize);
            let outer = std::mem::take(&mut self.drawn);
            self.value(&field.kind, true);
            self.tag_value(outer);
        }
        for tag in 0..unknown {
            self.varint(1000 + tag);
            let outer = std::mem::take(&mut self.drawn);
            let count = self.rng.random_range(0..9);
            self.drawn.body.extend((0..count).map(|_| self.rng.random::<u8>()));
            self.tag_value(outer);
        }
    }

    /// Puts what was drawn behind `outer`, with its length before it.
    fn tag_value(&mut self, outer: Drawn) {
        let value = std::mem::replace(&mut self.drawn, outer);
        let at = self.drawn.body.len();
        self.varint(value.body.len());
        let start = self.drawn.body.len();
        self.drawn.lengths.push(Length { at, width: Width::Varint, bytes: start - at });
        self.drawn
            .lengths
            .extend(value.lengths.iter().map(|length| Length { at: start + length.at, ..*length }));
        self.drawn.body.extend(value.body);
    }

    fn length(&mut self, length: Option<usize>, classic: Width) {
        let at = self.drawn.body.len();
        let width = if self.flexible { Width::Varint } else { classic };
        match width {
            Width::Two => {
                let length = length.map_or(-1, |length| i16::try_from(length).expect("short"));
                self.drawn.body.extend(length.to_be_bytes());
            }
            Width::Four => {
                let length = length.map_or(-1, |length| i32::try_from(length).expect("short"));
                self.drawn.body.extend(length.to_be_bytes());
            }
            Width::Varint => self.varint(length.map_or(0, |length| length + 1)),
        }
        self.drawn.lengths.push(Length { at, width, bytes: self.drawn.body.len() - at });
    }

    fn varint(&mut self, value: usize) {
        self.drawn.body.extend(varint(value as u64));
    }

    fn number(&mut self, bytes: usize, special: bool) {
        let at = self.drawn.body.len();
        self.drawn.body.extend((0..bytes).map(|_| self.rng.random::<u8>()));
        if special {
            // Positive, not 0, not the greatest.
            self.drawn.body[at] &= 0x3f;
            self.drawn.body[at] |= 1;
        }
    }
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

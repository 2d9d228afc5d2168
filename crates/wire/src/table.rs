//! The language in which every message is described, once.
//!
//! ```text
//! api! { Produce, versions 3-13, flexible 9;                    the key, what is spoken, the first flexible version
//!     request ProduceRequest {                                  one request and one response
//!         transactional_id: Option<Text>, 3+;                   a field, the versions that carry it
//!         topic_data: Vec<TopicProduceData>, 0+;
//!     }
//!     response ProduceResponse { ... }
//!     structure LeaderIdAndEpoch {                              what they are made of
//!         leader_id: i32 = -1, 10+;                             its value where the version has none
//!         name: Option<Text>, 0+, null 12+;                     the versions that may carry null, if not all
//!         rack: Text, 12+, tag 0;                               sent among the tagged fields
//!     }
//! }
//! ```
//!
//! Versions are written as Kafka writes them: `3+`, `0-12`. Fields come in Kafka's order, tagged ones by rising tag. From
//! this follow the struct, its `Default`, its decoder, its encoder, the least size that bounds a count, and the schema.
//!
//! A field that the version has no place for is not written: whoever picks the version picks what can be said.

/// Defines the messages of one API and what they are made of.
macro_rules! api {
    (
        $key:ident, versions $min:literal - $max:literal, flexible $flexible:expr;
        $( $(#[$meta:meta])* $role:ident $name:ident { $($fields:tt)* } )*
    ) => { $(
        $crate::table::structure! { $(#[$meta])* $name { $($fields)* } }
        $crate::table::message! { $role $name, $key, $min, $max, $flexible }
    )* };
}

/// Makes a message of a request or a response, and of any other structure nothing.
macro_rules! message {
    (structure $($rest:tt)*) => {};
    ($role:ident $name:ident, $key:ident, $min:literal, $max:literal, $flexible:expr) => {
        impl $crate::Message for $name {
            const KEY: $crate::ApiKey = $crate::ApiKey::$key;
            const NAME: &'static str = stringify!($name);
            const MIN: i16 = $min;
            const MAX: i16 = $max;
            const FLEXIBLE_FROM: i16 = $flexible;

            fn decode(d: &mut $crate::Decoder, version: i16) -> Result<Self, $crate::DecodeError> {
                d.begin(Self::NAME, $crate::message::layout::<Self>(version)?);
                $crate::wire::Wire::read(d)
            }

            fn encode(&self, e: &mut $crate::Encoder, version: i16) -> Result<(), $crate::EncodeError> {
                e.begin(Self::NAME, $crate::message::layout::<Self>(version)?);
                $crate::wire::Wire::write(self, e)
            }
        }
    };
}

/// Defines one struct and its codec.
macro_rules! structure {
    (
        $(#[$meta:meta])* $name:ident { $(
            $(#[$field_meta:meta])*
            $field:ident: $type:ty $(= $default:expr)?, $min:literal $(+)? $(- $max:literal)?
            $(, null $null_min:literal $(+)? $(- $null_max:literal)?)? $(, tag $tag:literal)?;
        )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::table::default_of!($($default)?), )* }
            }
        }

        impl $crate::wire::Wire for $name {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Struct(&[ $(
                $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? },
            )* ]);

            fn bytes_min(layout: $crate::wire::Layout) -> usize {
                let mut bytes = usize::from(layout.flexible);
                $( {
                    const FIELD: $crate::schema::Field =
                        $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? };
                    if FIELD.in_body(layout.version) {
                        bytes += <$type as $crate::wire::Wire>::bytes_min(layout);
                    }
                } )*
                bytes
            }

            fn read(d: &mut $crate::Decoder) -> Result<Self, $crate::DecodeError> {
                let version = d.layout().version;
                let mut it = Self::default();
                $( {
                    const FIELD: $crate::schema::Field =
                        $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? };
                    if FIELD.in_body(version) {
                        it.$field = d.field(&FIELD)?;
                    }
                } )*
                if d.layout().flexible {
                    d.tags(|d, tag| {
                        $( {
                            const FIELD: $crate::schema::Field =
                                $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? };
                            if FIELD.in_tags(version) && FIELD.tag == Some(tag) {
                                it.$field = d.field(&FIELD)?;
                                return Ok(true);
                            }
                        } )*
                        Ok(false)
                    })?;
                }
                Ok(it)
            }

            fn write(&self, e: &mut $crate::Encoder) -> Result<(), $crate::EncodeError> {
                let version = e.layout().version;
                $( {
                    const FIELD: $crate::schema::Field =
                        $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? };
                    if FIELD.in_body(version) {
                        e.field(&FIELD, &self.$field)?;
                    }
                } )*
                if e.layout().flexible {
                    let tags = e.begin_tags();
                    $( {
                        const FIELD: $crate::schema::Field =
                            $crate::table::field! { $field $type, $min $($max)?, $($null_min $($null_max)?)?, $($tag)? };
                        if FIELD.in_tags(version) {
                            e.tagged(&FIELD, &self.$field, &$crate::table::default_of!($($default)?))?;
                        }
                    } )*
                    e.end_tags(tags);
                }
                Ok(())
            }
        }
    };
}

/// The schema of one field.
macro_rules! field {
    ($field:ident $type:ty, $($versions:literal)+, $($null:literal)*, $($tag:literal)?) => {
        $crate::schema::Field {
            name: stringify!($field),
            kind: <$type as $crate::wire::Wire>::KIND,
            versions: $crate::table::versions!($($versions)+),
            null: $crate::table::versions!($($null)*),
            tag: $crate::table::tag_of!($($tag)?),
        }
    };
}

macro_rules! versions {
    () => {
        $crate::schema::Versions::ALL
    };
    ($min:literal) => {
        $crate::schema::Versions { min: $min, max: i16::MAX }
    };
    ($min:literal $max:literal) => {
        $crate::schema::Versions { min: $min, max: $max }
    };
}

macro_rules! tag_of {
    () => {
        None
    };
    ($tag:literal) => {
        Some($tag)
    };
}

macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

pub(crate) use {api, default_of, field, message, structure, tag_of, versions};

//! How an entity is stored: one byte of version, then the entity in postcard's format.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stored value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error(
        "{entity} is stored in version {found}, this program knows up to {known}: start a newer carrickd"
    )]
    Newer { entity: &'static str, found: u8, known: u8 },
    #[error("{entity} is damaged: {what}")]
    Damaged { entity: &'static str, what: String },
}

/// An entity with a stored form.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    const ENTITY: &'static str;
    /// The newest version; raised with each change of the stored form. Older ones are read by [`Stored::older`].
    const VERSION: u8;

    /// Reads an older version's form.
    fn older(version: u8, _form: &[u8]) -> Result<Self, ValueError> {
        Err(ValueError::Damaged { entity: Self::ENTITY, what: format!("there was no version {version}") })
    }
}

pub(crate) fn encode<T: Stored>(entity: &T) -> Result<Vec<u8>, ValueError> {
    let damaged = |e: postcard::Error| ValueError::Damaged { entity: T::ENTITY, what: e.to_string() };
    postcard::to_extend(entity, vec![T::VERSION]).map_err(damaged)
}

pub(crate) fn decode<T: Stored>(value: &[u8]) -> Result<T, ValueError> {
    let damaged = |what: String| ValueError::Damaged { entity: T::ENTITY, what };
    let Some((&version, form)) = value.split_first() else {
        return Err(damaged("it is empty".into()));
    };
    if version > T::VERSION {
        return Err(ValueError::Newer { entity: T::ENTITY, found: version, known: T::VERSION });
    }
    if version < T::VERSION {
        return T::older(version, form);
    }
    match postcard::take_from_bytes(form) {
        Ok((entity, [])) => Ok(entity),
        Ok((_, rest)) => Err(damaged(format!("{} bytes too many", rest.len()))),
        Err(e) => Err(damaged(e.to_string())),
    }
}

//! The port to the store: ordered pairs in families, committed atomically, durable when synced.

/// One column family per durability class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Synced before anything is told that rests on it.
    Catalog,
    /// May lag what was told: it can be rebuilt or repeated.
    Progress,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::Catalog, Self::Progress];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Progress => "progress",
        }
    }
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put { family: Family, key: Vec<u8>, value: Vec<u8> },
    Delete { family: Family, key: Vec<u8> },
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the catalog's store failed {doing}")]
    Io { doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the catalog's store is open in another process")]
    InUse,
    #[error("the catalog's store is damaged: {what}")]
    Damaged { what: String },
}

/// A pair as stored.
pub type Pair = (Vec<u8>, Vec<u8>);

pub trait Store: Send + Sync + 'static {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Every pair whose key starts with `prefix`, in key order.
    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError>;

    /// Atomic, visible at once; survives a kill of the process at once, a power cut only after `sync` returned.
    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Blocking: makes every commit so far durable.
    fn sync(&self) -> Result<(), StoreError>;
}

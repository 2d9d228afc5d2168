//! A link's ledger: events in order, whose form is the link's own.
//!
//! | key | family | value |
//! |---|---|---|
//! | `ledger/` + link id (16) + number (8, big-endian, from 0) | catalog | an event |

use carrick_types::LinkId;

pub(crate) const PREFIX: &[u8] = b"ledger/";

pub(crate) fn prefix(link: LinkId) -> Vec<u8> {
    [PREFIX, &link.bytes()].concat()
}

pub(crate) fn key(link: LinkId, number: u64) -> Vec<u8> {
    [PREFIX, &link.bytes(), &number.to_be_bytes()].concat()
}

pub(crate) fn link_of(key: &[u8]) -> Option<LinkId> {
    let id = key.strip_prefix(PREFIX)?.get(..16)?;
    id.try_into().ok().map(LinkId::from_bytes)
}

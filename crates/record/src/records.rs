//! A walk over the records of an uncompressed body. Borrowed, bounded by the bytes there are.

/// One record, as far as anyone here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// The body is not a run of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is broken {at} bytes before the end of its batch")]
pub struct BadRecord {
    pub at: usize,
}

/// At most `count` records of `body`; ends after the first broken one.
pub fn walk(body: &[u8], count: u32) -> impl Iterator<Item = Result<Record<'_>, BadRecord>> {
    let mut rest = body;
    let mut left = count;
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let at = rest.len();
        let record = read(&mut rest);
        if record.is_none() {
            left = 0;
        }
        Some(record.ok_or(BadRecord { at }))
    })
}

fn read<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let len = usize::try_from(varlong(rest)?).ok()?;
    let (mut record, after) = rest.split_at_checked(len)?;
    *rest = after;
    let record = &mut record;
    take(record, 1)?;
    Some(Record {
        timestamp_delta: varlong(record)?,
        offset_delta: varlong(record)?,
        key: field(record)?,
        value: field(record)?,
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varlong(rest)? {
        -1 => Some(None),
        len => take(rest, usize::try_from(len).ok()?).map(Some),
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// Zigzag base-128, at most ten bytes.
fn varlong(rest: &mut &[u8]) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take(rest, 1)?[0];
        raw |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    None
}

//! What every verb that changes something takes.

use std::fmt;
use std::str::FromStr;

use carrick_proto::v1;
use carrick_sys::{Entropy, RealEntropy};
use clap::Args;

use crate::say;

#[derive(Args)]
pub struct Mutation {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The id of a request whose answer was lost: it is not done twice.
    #[arg(long, value_name = "UUID")]
    request_id: Option<RequestId>,
}

impl Mutation {
    /// Says the id, so that it is known whatever happens.
    pub fn begin(&self) -> Begun {
        let id = self.request_id.unwrap_or_else(RequestId::draw);
        if !self.dry_run {
            say(&format!("request id {id}"));
        }
        Begun { id, dry_run: self.dry_run }
    }
}

/// A mutation that is being asked for.
#[derive(Clone, Copy)]
pub struct Begun {
    pub id: RequestId,
    pub dry_run: bool,
}

impl Begun {
    pub fn message(self) -> Option<v1::Mutation> {
        Some(v1::Mutation { request_id: self.id.0.to_vec().into(), dry_run: self.dry_run })
    }

    /// Says how it ended, once the plan was printed.
    pub fn end(self, applied: bool, undo: &str) {
        match (self.dry_run, applied) {
            (true, _) => say("nothing was done: --dry-run"),
            (false, false) => say("nothing was changed"),
            (false, true) => say("done"),
        }
        if applied && !undo.is_empty() {
            say(&format!("to take it back: {undo}"));
        }
    }
}

/// 16 bytes, shown as a UUID is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

#[derive(Debug, thiserror::Error)]
#[error("a request id has 32 hexadecimal digits, such as 01234567-89ab-cdef-0123-456789abcdef")]
pub struct BadRequestId;

impl RequestId {
    fn draw() -> Self {
        let entropy: &dyn Entropy = &RealEntropy;
        Self(entropy.bytes16())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for RequestId {
    type Err = BadRequestId;

    fn from_str(text: &str) -> Result<Self, BadRequestId> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadRequestId);
        }
        let number = u128::from_str_radix(&digits, 16).map_err(|_| BadRequestId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        let id = RequestId::draw();
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(id.to_string().parse::<RequestId>().unwrap(), id);
        assert_eq!(id.to_string().replace('-', "").parse::<RequestId>().unwrap(), id);
        assert_ne!(id, RequestId::draw());
        for bad in ["", "1", &"g".repeat(32), &"0".repeat(33), "+1234567-89ab-cdef-0123-456789abcdef"] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}

//! [`Meter`]: the bound on what decoding may allocate.

/// A decoded message takes at most this many times its bytes on the wire, plus [`Meter::FREE_BYTES`].
const BYTES_PER_INPUT_BYTE: usize = 8;

/// What is left of the memory that one input may cost. It is charged before every growth and never refunded: a decoder
/// frees nothing until it fails or is done, so what is charged is what is alive.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    left_bytes: usize,
}

impl Meter {
    /// What any input may cost, however short: 64 KiB less what the decoder itself and shared slices of the frame take.
    pub const FREE_BYTES: usize = 63 * 1024;

    #[must_use]
    pub const fn for_input(input_bytes: usize) -> Self {
        Self { left_bytes: input_bytes.saturating_mul(BYTES_PER_INPUT_BYTE).saturating_add(Self::FREE_BYTES) }
    }

    #[must_use]
    pub const fn left_bytes(self) -> usize {
        self.left_bytes
    }

    /// Whether `bytes` more may be allocated; if so, they are spent.
    #[must_use]
    pub const fn charge(&mut self, bytes: usize) -> bool {
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => {
                self.left_bytes = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_spends_to_the_last_byte_and_no_further() {
        let mut meter = Meter::for_input(1);
        assert!(meter.charge(8) && meter.charge(Meter::FREE_BYTES));
        assert!(!meter.charge(1) && meter.charge(0));
        assert_eq!(meter.left_bytes(), 0);
    }

    #[test]
    fn a_meter_of_a_huge_input_does_not_overflow() {
        assert_eq!(Meter::for_input(usize::MAX).left_bytes(), usize::MAX);
    }
}

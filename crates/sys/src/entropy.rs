//! Chance.

pub trait Entropy: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    pub fn bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    pub fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// Random, and shown without a leading dash, which a shell would take for an option.
pub fn id_bytes(entropy: &dyn Entropy) -> [u8; 16] {
    loop {
        let bytes = entropy.bytes16();
        // 0b111110 is '-' in URL-safe base64.
        if bytes[0] >> 2 != 0b11_1110 && bytes != [0; 16] {
            return bytes;
        }
    }
}

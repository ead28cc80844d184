//! CRC-64 with the ISO 3309 polynomial, as Go's `hash/crc64` has it: how tar-split checks payloads. It finds mistakes,
//! not forgery. Pure.

/// The polynomial, lowest power first.
const POLYNOMIAL: u64 = 0xD800_0000_0000_0000;

/// `TABLES[k][b]` is what byte `b` does to the sum with `k` bytes behind it, so that eight bytes go in one step.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[behind - 1][byte];
            tables[behind][byte] = tables[0][(sum & 0xff) as usize] ^ (sum >> 8);
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// A sum in the making.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Crc64(u64);

impl Crc64 {
    /// Takes more bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut sum = !self.0;
        let mut eights = bytes.chunks_exact(8);
        for eight in &mut eights {
            let mut mixed = sum.to_le_bytes();
            mixed.iter_mut().zip(eight).for_each(|(a, b)| *a ^= b);
            sum = TABLES
                .iter()
                .rev()
                .zip(mixed)
                .fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)]);
        }
        for byte in eights.remainder() {
            let [low, ..] = sum.to_le_bytes();
            sum = TABLES[0][usize::from(low ^ byte)] ^ (sum >> 8);
        }
        self.0 = !sum;
    }

    /// The sum as Go writes it, highest byte first.
    pub(crate) fn finish(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of Go's hash/crc64 tests, and the check value of CRC-64/GO-ISO.
    #[test]
    fn sums_are_gos() {
        let table: [(&str, u64); 4] = [
            ("", 0),
            ("a", 0x3420_0000_0000_0000),
            ("ab", 0x36c4_2000_0000_0000),
            ("123456789", 0xb909_56c7_75a4_1001),
        ];
        for (text, sum) in table {
            for cut in 0..=text.len() {
                let mut crc = Crc64::default();
                crc.update(&text.as_bytes()[..cut]);
                crc.update(&text.as_bytes()[cut..]);
                assert_eq!(crc.finish(), sum.to_be_bytes(), "{text} at {cut}");
            }
        }
    }
}

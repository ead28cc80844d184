//! What of a file another one has too: pure.
//!
//! The base is cut into blocks; a window as long as a block moves over the file, and where its hash is one of a block's
//! and the bytes are the same, they are a copy, as long as they go on being the same in both directions.

use std::collections::HashMap;

/// The size of a block, in bytes: an id in a recipe's table is one, and stands at a multiple of 8 there.
const BLOCK: usize = 32;
/// The factor of the rolling hash.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'f> {
    /// These bytes.
    Literal(&'f [u8]),
    /// So many bytes of the base from there.
    Copy { offset: usize, length: usize },
}

fn hash(window: &[u8]) -> u64 {
    window.iter().fold(0, |hash: u64, byte| {
        hash.wrapping_mul(FACTOR).wrapping_add(u64::from(*byte) + 1)
    })
}

/// The pieces that make `file`, in order.
pub(crate) fn pieces<'f>(file: &'f [u8], base: &[u8]) -> Vec<Piece<'f>> {
    let mut pieces = Vec::new();
    let mut blocks: HashMap<u64, usize> = HashMap::new();
    for (number, block) in base.chunks_exact(BLOCK).enumerate() {
        blocks.entry(hash(block)).or_insert(number * BLOCK);
    }
    let oldest = (1..BLOCK).fold(1u64, |power, _| power.wrapping_mul(FACTOR));
    let (mut at, mut done) = (0, 0);
    let mut rolling: Option<u64> = None;
    while at + BLOCK <= file.len() {
        let now = *rolling.get_or_insert_with(|| hash(&file[at..at + BLOCK]));
        // What follows the last copy in the base comes before any other block that looks the same.
        let found = following(&pieces, done, at, file, base)
            .or_else(|| blocks.get(&now).copied())
            .filter(|offset| base.get(*offset..*offset + BLOCK) == Some(&file[at..at + BLOCK]));
        let Some(offset) = found else {
            let gone = (u64::from(file[at]) + 1).wrapping_mul(oldest);
            let next = file.get(at + BLOCK).map_or(0, |byte| u64::from(*byte) + 1);
            rolling = Some(
                now.wrapping_sub(gone)
                    .wrapping_mul(FACTOR)
                    .wrapping_add(next),
            );
            at += 1;
            continue;
        };
        let back = file[done..at].iter().rev().zip(base[..offset].iter().rev());
        let back = back.take_while(|(a, b)| a == b).count();
        let on = file[at..].iter().zip(&base[offset..]);
        let on = on.take_while(|(a, b)| a == b).count();
        if done < at - back {
            pieces.push(Piece::Literal(&file[done..at - back]));
        }
        pieces.push(Piece::Copy {
            offset: offset - back,
            length: back + on,
        });
        at += on;
        done = at;
        rolling = None;
    }
    if done < file.len() {
        pieces.push(Piece::Literal(&file[done..]));
    }
    pieces
}

/// Where the base would be if it and the file went on alike behind their last copy.
fn following(
    pieces: &[Piece<'_>],
    done: usize,
    at: usize,
    file: &[u8],
    base: &[u8],
) -> Option<usize> {
    let Some(Piece::Copy { offset, length }) = pieces.last() else {
        return (pieces.is_empty() && base.get(at..at + BLOCK)? == &file[at..at + BLOCK])
            .then_some(at);
    };
    let offset = offset + length + (at - done);
    (base.get(offset..offset + BLOCK)? == &file[at..at + BLOCK]).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(pieces: &[Piece<'_>], base: &[u8]) -> Vec<u8> {
        let bytes = pieces.iter().flat_map(|piece| match piece {
            Piece::Literal(bytes) => *bytes,
            Piece::Copy { offset, length } => &base[*offset..*offset + *length],
        });
        bytes.copied().collect()
    }

    fn literal(pieces: &[Piece<'_>]) -> usize {
        let of = |piece: &Piece<'_>| match piece {
            Piece::Literal(bytes) => bytes.len(),
            Piece::Copy { .. } => 0,
        };
        pieces.iter().map(of).sum()
    }

    #[test]
    fn what_is_the_same_is_copied() {
        let base: Vec<u8> = (0..10_000u32)
            .flat_map(|n| n.wrapping_mul(FACTOR as u32).to_le_bytes())
            .collect();
        let mut file = base.clone();
        file.splice(5000..5003, *b"eleven bytes");
        file.extend(b"\n# built again\n");
        let pieces = pieces(&file, &base);
        assert_eq!(
            pieces,
            [
                Piece::Copy {
                    offset: 0,
                    length: 5000
                },
                Piece::Literal(b"eleven bytes"),
                Piece::Copy {
                    offset: 5003,
                    length: 34_997
                },
                Piece::Literal(b"\n# built again\n"),
            ]
        );
        assert_eq!(made(&pieces, &base), file);
    }

    #[test]
    fn blocks_that_repeat_do_not_break_a_copy() {
        let base = vec![0; 100_000];
        let all = pieces(&base, &base);
        assert_eq!(
            all,
            [Piece::Copy {
                offset: 0,
                length: 100_000
            }]
        );
        let twice = [&base[..], &base[..]].concat();
        let all = pieces(&twice, &base);
        assert_eq!((literal(&all), made(&all, &base) == twice), (0, true));
    }

    proptest! {
        #[test]
        fn pieces_make_the_file(
            base in proptest::collection::vec(0u8..3, 0..400),
            file in proptest::collection::vec(0u8..3, 0..400),
            cut in 0usize..400,
        ) {
            let mixed = [&base[cut.min(base.len())..], &file[..], &base[..cut.min(base.len())]].concat();
            for file in [&file, &mixed] {
                let all = pieces(file, &base);
                prop_assert_eq!(&made(&all, &base), file);
                prop_assert!(!all.contains(&Piece::Literal(b"")));
            }
        }
    }
}

//! Maps of sparse files, in the four forms that GNU tar wrote over the years.
//!
//! Whatever the form, a map must be in order, lie inside the file and account for just the bytes that are stored.

use tar::{GnuSparseHeader, Header};

use crate::tar_stream::{BLOCK, TarError, TarInput, TarStream};

/// The most segments of a sparse file.
const SPARSE_SEGMENTS_MAX: usize = 1 << 16;

impl<R: TarInput> TarStream<R> {
    /// The old GNU form: a map in the header and in blocks behind it.
    pub(crate) fn gnu_sparse(&mut self, header: &Header) -> Result<(), TarError> {
        let gnu = header.as_gnu().ok_or("a sparse entry has no GNU header")?;
        let size = gnu
            .real_size()
            .map_err(|_| "a sparse entry has a wrong size")?;
        let mut segments = Vec::new();
        let add = |segments: &mut Vec<(u64, u64)>, list: &[GnuSparseHeader]| {
            for segment in list.iter().filter(|segment| !segment.is_empty()) {
                let wrong = |_| TarError::from("a sparse entry has a wrong map");
                segments.push((
                    segment.offset().map_err(wrong)?,
                    segment.length().map_err(wrong)?,
                ));
            }
            Ok::<(), TarError>(())
        };
        add(&mut segments, &gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if self.fill(block.as_mut_bytes())? < BLOCK as usize {
                return Err("it is cut short in a sparse map".into());
            }
            add(&mut segments, block.sparse())?;
            if segments.len() > SPARSE_SEGMENTS_MAX {
                return Err("a sparse entry has too many segments".into());
            }
            more = block.is_extended();
        }
        self.set_sparse(segments, size)
    }

    /// The three forms that GNU tar writes with PAX headers: 0.0, 0.1 and 1.0.
    pub(crate) fn pax_sparse(
        &mut self,
        records: &[(Vec<u8>, Vec<u8>)],
        path: &mut Vec<u8>,
    ) -> Result<(), TarError> {
        let find = |key: &[u8]| {
            records
                .iter()
                .rev()
                .find(|(have, _)| have == key)
                .map(|(_, value)| value.as_slice())
        };
        if let Some(name) = find(b"name") {
            *path = name.to_vec();
        }
        let number = |text: &[u8]| {
            let text = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            text.ok_or(TarError::from("a sparse entry has a wrong number"))
        };
        if find(b"major") == Some(b"1") {
            let size = number(find(b"realsize").ok_or("a sparse entry has no size")?)?;
            let segments = self.sparse_map_in_data(number)?;
            return self.set_sparse(segments, size);
        }
        let Some(size) = find(b"size").or(find(b"realsize")) else {
            return Ok(());
        };
        let numbers: Vec<u64> = match find(b"map") {
            Some(map) => map
                .split(|byte| *byte == b',')
                .map(number)
                .collect::<Result<_, _>>()?,
            None => {
                let pairs = records
                    .iter()
                    .filter(|(key, _)| key == b"offset" || key == b"numbytes");
                pairs
                    .map(|(_, value)| number(value))
                    .collect::<Result<_, _>>()?
            }
        };
        if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > SPARSE_SEGMENTS_MAX {
            return Err("a sparse entry has a wrong map".into());
        }
        self.set_sparse(
            numbers
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
            number(size)?,
        )
    }

    /// Form 1.0: decimal lines at the start of the data, filled up to a block.
    fn sparse_map_in_data(
        &mut self,
        number: impl Fn(&[u8]) -> Result<u64, TarError>,
    ) -> Result<Vec<(u64, u64)>, TarError> {
        let mut block = [0u8; BLOCK as usize];
        let (mut line, mut numbers, mut wanted) = (Vec::new(), Vec::new(), None);
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            if self.stored < BLOCK || self.fill(&mut block)? < block.len() {
                return Err("it is cut short in a sparse map".into());
            }
            self.stored -= BLOCK;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    if line.len() > 20 {
                        return Err("a sparse entry has a wrong map".into());
                    }
                    continue;
                }
                let value = number(&std::mem::take(&mut line))?;
                match wanted {
                    None if value > SPARSE_SEGMENTS_MAX as u64 => {
                        return Err("a sparse entry has too many segments".into());
                    }
                    None => wanted = Some(value as usize * 2),
                    Some(_) => numbers.push(value),
                }
                if wanted == Some(numbers.len()) {
                    break;
                }
            }
        }
        Ok(numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect())
    }

    /// Takes a map whose segments must be in order, inside `size`, and hold just the stored bytes.
    fn set_sparse(&mut self, mut segments: Vec<(u64, u64)>, size: u64) -> Result<(), TarError> {
        let (mut end, mut data) = (0, 0u64);
        for (offset, length) in &segments {
            if *offset < end {
                return Err("a sparse entry has overlapping segments".into());
            }
            end = offset
                .checked_add(*length)
                .ok_or("a sparse entry has a wrong map")?;
            // No more than `end`, since segments do not overlap.
            data += length;
        }
        if end > size || data != self.stored {
            return Err("a sparse entry's map does not fit its data".into());
        }
        segments.retain(|(_, length)| *length > 0);
        segments.reverse();
        (self.segments, self.at, self.end) = (segments, 0, size);
        Ok(())
    }
}

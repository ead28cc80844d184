//! Layers that need not be fetched whole: zstd:chunked and eStargz have a table of contents.
//!
//! ```text
//! annotation: digest ─► table of contents ─► payloads that the store has ─► plan ─► ranges ┐
//!                                                                 objects ─► tar ─► store::import_layer (diff id)
//! ```
//!
//! Invariant: the layer is proved by its diff id, as any other; the table is believed in nothing. It comes from the
//! manifest by digest, its numbers are checked, and whatever is wrong with it or with the ranges, the layer is then
//! fetched whole, once. A layer that came in ranges says nothing of its blob, whose digest nobody saw.

mod assemble;
mod estargz;
mod headers;
mod plan;
mod tar_split;
mod toc;
mod zstd_chunked;

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use store::oci::Descriptor;
use store::{DiffId, Digest, ImportedLayer, LayerOrigin, ObjectId};

use self::assemble::{Assembly, Feed, Parts};
use self::headers::Headers;
use self::plan::{Cost, Item, Plan};
use self::tar_split::TarSplit;
use self::toc::Toc;
use crate::decompress::Decompress;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::layer::Fetch;
use crate::limits::{
    PARTS_LAYER_BYTES_MIN, PARTS_SAVED_PERCENT_MIN, RANGE_GAP_BYTES, RANGE_REQUESTS_MAX,
    RANGES_PER_REQUEST_MAX, REQUEST_GAP_BYTES, TOC_COMPRESSED_BYTES_MAX,
};

/// The table of contents of a layer, and what comes with it.
struct Table {
    form: Form,
    toc: Toc,
    parts: Parts,
    /// Where the data end that the table describes.
    data_end: u64,
    /// How many bytes were fetched for it.
    fetched: u64,
}

/// How the blob is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Between headers and payloads (zstd:chunked).
    Payloads,
    /// Before payloads (zstd:chunked by the writer of eStargz).
    Frames,
    /// Before payloads, with the table at the end of the tar (eStargz).
    Members,
}

impl Fetch<'_> {
    /// Fetches a layer in parts, where that is possible and worth it; `None` when it is to be fetched whole.
    pub(crate) fn in_parts(
        &self,
        blob: &Descriptor,
        diff_id: DiffId,
    ) -> Result<Option<ImportedLayer>> {
        let is_possible = self.transport.is_remote() && self.mend.is_none();
        if !is_possible || blob.size < PARTS_LAYER_BYTES_MIN || !has_annotation(blob) {
            return Ok(None);
        }
        // With nothing here nothing can be saved, and the table would only cost.
        if store::images(self.repo)?.is_empty() {
            return Ok(None);
        }
        match self.try_parts(blob, diff_id) {
            Ok(imported) => Ok(imported),
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                let why = causes(&error);
                let text = format!("layer {} is fetched whole: {why}", blob.digest);
                (self.progress)(Event::Warning(&text));
                Ok(None)
            }
        }
    }

    fn try_parts(&self, blob: &Descriptor, diff_id: DiffId) -> Result<Option<ImportedLayer>> {
        let malformed =
            |why: String| store::Error::malformed(format!("layer {}", blob.digest), why);
        let Table {
            form,
            toc,
            mut parts,
            data_end,
            fetched,
        } = self.table(blob)?;
        let held = store::payloads(self.repo, &wanted(&toc))?;
        if held.is_empty() {
            return Ok(None);
        }
        let headers = match form {
            Form::Payloads => None,
            Form::Frames | Form::Members => self.headers(blob, &toc)?,
        };
        let items = items(form, &toc, data_end, &parts, &held, headers.as_ref(), blob)
            .map_err(|why| malformed(why.into()))?;
        let Some((plan, feed)) = self.feed(blob, &items, fetched)? else {
            return Ok(None);
        };
        parts.headers = headers.map(|headers| (headers, toc.entries));
        self.started(blob, feed.here());
        let mut tar = Assembly::new(self.repo, self.stop, plan.steps, parts, feed);
        let origin = LayerOrigin {
            diff_id: Some(diff_id),
            blob: None,
        };
        let imported = store::import_layer(self.repo, &mut tar, &origin, self.limits)
            .map_err(Error::unwrapped)?;
        self.done(blob, &imported);
        Ok(Some(imported))
    }

    /// Fetches the table of contents and checks it.
    fn table(&self, blob: &Descriptor) -> Result<Table> {
        let malformed =
            |why: String| store::Error::malformed(format!("layer {}", blob.digest), why);
        if let Some(tables) = zstd_chunked::Tables::of(blob) {
            let tables = tables.map_err(malformed)?;
            let bytes = self.range(blob, tables.range())?;
            let fetched = bytes.len() as u64;
            let mut read = tables.read(bytes).map_err(malformed)?;
            let is_cut_twice = |toc: &Toc| toc.entries.iter().any(|entry| entry.end_offset > 0);
            let form = match is_cut_twice(&read.toc) {
                true => Form::Payloads,
                false => Form::Frames,
            };
            if form == Form::Frames {
                read.toc.complete_names().map_err(malformed)?;
            }
            let corrupt = |error: std::io::Error| malformed(error.to_string());
            let tar_split = read.tar_split.map(TarSplit::new).transpose();
            return Ok(Table {
                form,
                toc: read.toc,
                parts: Parts {
                    tar_split: tar_split.map_err(corrupt)?,
                    ..Parts::default()
                },
                data_end: tables.data_end(),
                fetched,
            });
        }
        let none = || malformed("it has no table of contents".into());
        let digest = estargz::toc_digest(blob).ok_or_else(none)?;
        let digest = digest.map_err(malformed)?;
        let footer = self.range(blob, estargz::footer(blob).ok_or_else(none)?)?;
        let range = estargz::toc_range(blob, &footer).map_err(malformed)?;
        let data_end = range.start;
        let member = self.range(blob, range)?;
        Ok(Table {
            form: Form::Members,
            toc: estargz::read(&member, digest).map_err(malformed)?,
            data_end,
            fetched: (footer.len() + member.len()) as u64,
            parts: Parts {
                table: [member, footer].concat(),
                ..Parts::default()
            },
        })
    }

    /// Fetches the first headers of a layer, and learns from them.
    fn headers(&self, blob: &Descriptor, toc: &Toc) -> Result<Option<Headers>> {
        let Some((first, end)) = estargz::first_headers(toc) else {
            return Ok(None);
        };
        let entries = toc.entries.get(first).unwrap_or_default();
        if end == 0 || end > blob.size.min(TOC_COMPRESSED_BYTES_MAX) {
            return Ok(None);
        }
        let packed = self.range(blob, 0..end)?;
        let unpacked = Decompress::new(&packed[..]);
        let unpacked = unpacked.map(|unpacked| unpacked.take(TOC_COMPRESSED_BYTES_MAX));
        let mut bytes = Vec::new();
        match unpacked.and_then(|mut unpacked| unpacked.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Headers::learn(&bytes, entries)),
            Err(_) => Ok(None),
        }
    }

    /// Fetches one range.
    fn range(&self, blob: &Descriptor, range: Range<u64>) -> Result<Vec<u8>> {
        let length = range.end - range.start;
        let reader = self.transport.ranges(blob, &[range], self.progress)?;
        let reader = reader.ok_or_else(|| no_ranges(self))?;
        let mut bytes = Vec::new();
        let read = reader.take(length).read_to_end(&mut bytes);
        read.map_err(|source| Error::from_read(&format!("layer {}", blob.digest), source))?;
        Ok(bytes)
    }

    /// Plans, and asks for the first ranges; `None` when that saves too little. `spent` bytes were fetched already.
    fn feed<'f>(
        &'f self,
        blob: &'f Descriptor,
        items: &[Item],
        spent: u64,
    ) -> Result<Option<(Plan, Feed<'f>)>> {
        let several = Cost {
            gap: RANGE_GAP_BYTES,
            ranges: RANGE_REQUESTS_MAX * RANGES_PER_REQUEST_MAX,
        };
        let single = Cost {
            gap: REQUEST_GAP_BYTES,
            ranges: RANGE_REQUESTS_MAX,
        };
        for (cost, per_request) in [(several, RANGES_PER_REQUEST_MAX), (single, 1)] {
            let plan = Plan::new(items.to_vec(), cost);
            let saved = blob.size.saturating_sub(plan.fetched + spent);
            if saved < blob.size / 100 * PARTS_SAVED_PERCENT_MIN {
                return Ok(None);
            }
            let feed = Feed::open(
                self.transport,
                blob,
                self.progress,
                plan.ranges(),
                per_request,
                blob.size - plan.fetched,
            )?;
            if let Some(feed) = feed {
                return Ok(Some((plan, feed)));
            }
        }
        Err(no_ranges(self))
    }
}

fn no_ranges(fetch: &Fetch<'_>) -> Error {
    Error::unsupported(format!("{} without", fetch.transport.place()), "ranges")
}

fn has_annotation(blob: &Descriptor) -> bool {
    zstd_chunked::Tables::of(blob).is_some() || estargz::toc_digest(blob).is_some()
}

/// The payloads that a table names, with their sizes.
fn wanted(toc: &Toc) -> HashMap<Digest, u64> {
    let files = toc.entries.iter().filter(|entry| entry.has_payload());
    files
        .filter_map(|entry| Some((entry.digest?, entry.size)))
        .collect()
}

fn items(
    form: Form,
    toc: &Toc,
    data_end: u64,
    parts: &Parts,
    held: &HashMap<Digest, ObjectId>,
    headers: Option<&Headers>,
    blob: &Descriptor,
) -> Result<Vec<Item>, &'static str> {
    match form {
        Form::Payloads => zstd_chunked::row(toc, data_end, parts.tar_split.is_some(), held),
        Form::Frames => estargz::row(toc, data_end, None, held, headers),
        Form::Members => estargz::row(toc, data_end, Some(blob.size), held, headers),
    }
}

/// An error with its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Plans for a table of contents as each form would, as if every payload were here: the ranges of the blob up to
/// `data_end` that would be fetched.
#[cfg(fuzzing)]
pub fn planned(json: &[u8], data_end: u64) -> Vec<Vec<Range<u64>>> {
    let Ok(toc) = Toc::read(json) else {
        return Vec::new();
    };
    let held = wanted(&toc).into_keys();
    let held = held.map(|digest| (digest, ObjectId::new(*digest.as_bytes())));
    let held = held.collect();
    let cost = Cost {
        gap: RANGE_GAP_BYTES,
        ranges: RANGE_REQUESTS_MAX,
    };
    let rows = [
        zstd_chunked::row(&toc, data_end, false, &held),
        zstd_chunked::row(&toc, data_end, true, &held),
        estargz::row(&toc, data_end, None, &held, None),
        estargz::row(&toc, data_end, data_end.checked_add(1), &held, None),
    ];
    let plans = rows.into_iter().flatten();
    plans.map(|items| Plan::new(items, cost).ranges()).collect()
}

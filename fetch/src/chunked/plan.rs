//! What of a layer is fetched, and in what order everything is put together. Pure.
//!
//! A layer is a row of items that lie one behind the other in its compressed blob and, in the same order, in its tar.
//! Each is made here or fetched. What is fetched is fetched in ranges, and between two ranges that are close to each
//! other everything is fetched: a range costs more than a few bytes.

use std::ops::Range;

use store::ObjectId;

use crate::limits::TAR_PARTS_MAX;

/// A part of the compressed blob, and what it unpacks to, if that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its bytes in the blob.
    pub(crate) blob: Range<u64>,
    /// What it unpacks to.
    pub(crate) local: Option<Local>,
}

/// What a part of a blob unpacks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Local {
    /// A part of an object's payload.
    Payload {
        /// The object.
        id: ObjectId,
        /// Its bytes.
        bytes: Range<u64>,
        /// What follows in the same part of the blob.
        tail: Option<Tail>,
    },
    /// What the tar-split data have between two payloads.
    Between,
    /// The table of contents itself, which is part of the tar.
    Table,
}

/// The padding behind a payload and the headers of the next entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The size of the payload.
    pub(crate) size: u64,
    /// The entries in the table of contents.
    pub(crate) entries: Range<usize>,
}

/// One step on the way to the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Unpack a range of the blob, which makes so many pieces of tar-split data needless.
    Fetch {
        /// The bytes of the blob.
        blob: Range<u64>,
        /// How many pieces.
        between: u64,
    },
    /// Take what is here.
    Take(Local),
}

/// How ranges are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The most bytes between two ranges that are fetched rather than left out.
    pub(crate) gap: u64,
    /// The most ranges.
    pub(crate) ranges: usize,
}

/// What to do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The steps in order.
    pub(crate) steps: Vec<Step>,
    /// How many bytes of the blob they fetch.
    pub(crate) fetched: u64,
}

impl Plan {
    /// Plans for `items`, which must lie in order.
    pub(crate) fn new(items: Vec<Item>, cost: Cost) -> Self {
        let gap = widest(&items, cost);
        let mut plan = Self {
            steps: Vec::new(),
            fetched: 0,
        };
        let mut held: Vec<Item> = Vec::new();
        for item in items {
            if item.local.is_some() {
                held.push(item);
                continue;
            }
            let between = held.iter().map(|item| length(&item.blob)).sum::<u64>();
            if plan.ends_in_fetch() && between <= gap {
                for item in held.drain(..).chain([item]) {
                    plan.fetch(item);
                }
            } else {
                held.drain(..).for_each(|item| plan.take(item));
                plan.fetch(item);
            }
        }
        held.into_iter().for_each(|item| plan.take(item));
        plan
    }

    /// The ranges of the blob, in order.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let ranges = self.steps.iter().filter_map(|step| match step {
            Step::Fetch { blob, .. } => Some(blob.clone()),
            Step::Take(_) => None,
        });
        ranges.collect()
    }

    fn ends_in_fetch(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Fetch { .. }))
    }

    fn fetch(&mut self, item: Item) {
        let more = u64::from(item.local == Some(Local::Between));
        self.fetched += length(&item.blob);
        match self.steps.last_mut() {
            Some(Step::Fetch { blob, between }) => {
                blob.end = item.blob.end;
                *between += more;
            }
            _ => self.steps.push(Step::Fetch {
                blob: item.blob,
                between: more,
            }),
        }
    }

    fn take(&mut self, item: Item) {
        self.steps.extend(item.local.map(Step::Take));
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// The gap below which everything is fetched so that there are not too many ranges.
fn widest(items: &[Item], cost: Cost) -> u64 {
    let mut gaps = Vec::new();
    let mut run = None;
    for item in items {
        match (&item.local, &mut run) {
            (Some(_), Some(run)) => *run += length(&item.blob),
            (Some(_), None) => {}
            (None, _) => {
                if let Some(run) = run.replace(0).filter(|run| *run > cost.gap) {
                    gaps.push(run);
                }
            }
        }
    }
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    // so many gaps make one range more
    match gaps.get(cost.ranges.saturating_sub(1)) {
        Some(gap) => *gap,
        None => cost.gap,
    }
}

/// Puts items one behind the other, and holds them to the blob.
#[derive(Debug)]
pub(crate) struct Row {
    items: Vec<Item>,
    at: u64,
    end: u64,
}

impl Row {
    /// Begins a row that fills the blob up to `end`.
    pub(crate) fn new(end: u64) -> Self {
        Self {
            items: Vec::new(),
            at: 0,
            end,
        }
    }

    /// Adds an item from where the last one ended up to `end`.
    pub(crate) fn add(&mut self, end: u64, local: Option<Local>) -> Result<(), &'static str> {
        if end < self.at || end > self.end {
            return Err("its table of contents leads out of order or out of the layer");
        }
        if self.items.len() == TAR_PARTS_MAX {
            return Err("it has too many parts");
        }
        if end > self.at || local.is_some() {
            self.items.push(Item {
                blob: self.at..end,
                local,
            });
        }
        self.at = end;
        Ok(())
    }

    /// The items, if they fill the blob up to its end.
    pub(crate) fn finish(self) -> Result<Vec<Item>, &'static str> {
        match self.at == self.end {
            true => Ok(self.items),
            false => Err("its table of contents does not lead to its end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost {
        gap: 10,
        ranges: 100,
    };

    fn local() -> Option<Local> {
        Some(Local::Between)
    }

    fn row(items: &[(u64, Option<Local>)]) -> Vec<Item> {
        let end = items.last().expect("items").0;
        let mut row = Row::new(end);
        for (end, local) in items {
            row.add(*end, local.clone()).expect("in order");
        }
        row.finish().expect("whole")
    }

    fn fetch(blob: Range<u64>, between: u64) -> Step {
        Step::Fetch { blob, between }
    }

    #[test]
    fn near_ranges_become_one() {
        let take = || Step::Take(Local::Between);
        let items = row(&[
            (5, local()),
            (20, None),
            (25, local()),
            (30, local()),
            (40, None),
            (51, local()),
            (60, None),
            (70, local()),
        ]);
        let plan = Plan::new(items, COST);
        assert_eq!(
            plan.steps,
            [take(), fetch(5..40, 2), take(), fetch(51..60, 0), take()]
        );
        assert_eq!((plan.fetched, plan.ranges()), (44, vec![5..40, 51..60]));
    }

    #[test]
    fn the_narrowest_gaps_go_first_when_there_are_too_many() {
        let items = row(&[
            (1, None),
            (101, local()),
            (102, None),
            (152, local()),
            (153, None),
            (353, local()),
            (354, None),
        ]);
        for (ranges, expected) in [
            (4, vec![0..1, 101..102, 152..153, 353..354]),
            (3, vec![0..1, 101..153, 353..354]),
            (2, vec![0..153, 353..354]),
        ] {
            let plan = Plan::new(items.clone(), Cost { gap: 10, ranges });
            assert_eq!(plan.ranges(), expected, "{ranges}");
        }
        let cost = Cost { gap: 10, ranges: 1 };
        assert_eq!(Plan::new(items, cost).steps, [fetch(0..354, 3)]);
    }

    #[test]
    fn a_row_fills_the_blob() {
        let mut row = Row::new(10);
        row.add(6, None).expect("in order");
        assert!(row.add(5, None).is_err(), "back");
        assert!(row.add(11, None).is_err(), "beyond");
        assert!(row.finish().is_err(), "short");
    }
}

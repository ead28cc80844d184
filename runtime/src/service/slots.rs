//! Which slot the next deployment takes. Pure.
//!
//! A free one of `NAME.0` … `NAME.<keep-1>`; else that of the oldest deployment that is neither the current one nor the
//! last that was seen running. Where every other one is protected, the current one itself was never seen running, and is
//! replaced where it stands: it is the only one that nobody can want back.

/// A deployment, as far as the choice goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) slot: u32,
    /// The younger has the greater.
    pub(super) age: (u64, u64),
    /// Whether it was seen running.
    pub(super) good: bool,
}

/// Where the next deployment goes, and which slots are emptied for it, that one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) slot: u32,
    pub(super) victims: Vec<u32>,
}

/// The fewest deployments that are kept.
pub const KEEP_MIN: u32 = 2;

/// Chooses for a service whose current deployment is in the slot `current`.
pub(super) fn choose(taken: &[Taken], current: u32, keep: u32) -> Choice {
    let keep = keep.max(KEEP_MIN);
    let last_good = taken
        .iter()
        .filter(|it| it.good)
        .max_by_key(|it| it.age)
        .map(|it| it.slot);
    let mut others: Vec<&Taken> = taken
        .iter()
        .filter(|it| it.slot != current && Some(it.slot) != last_good)
        .collect();
    others.sort_by_key(|it| it.age);
    let free = (0..keep).find(|slot| taken.iter().all(|it| it.slot != *slot));
    let oldest = others.iter().map(|it| it.slot).find(|slot| *slot < keep);
    let slot = free.or(oldest).unwrap_or(current);
    let mut victims: Vec<u32> = free.is_none().then_some(slot).into_iter().collect();
    // A smaller number than before: the oldest go.
    let too_many = (taken.len() + 1 - victims.len()).saturating_sub(keep as usize);
    let rest = others.iter().map(|it| it.slot).filter(|it| *it != slot);
    victims.extend(rest.take(too_many));
    Choice { slot, victims }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(slot: u32, age: u64, good: bool) -> Taken {
        let age = (age, 0);
        Taken { slot, age, good }
    }

    #[test]
    fn a_free_slot_is_taken_before_any_other() {
        let choice = choose(&[taken(0, 1, true)], 0, 2);
        assert_eq!((choice.slot, choice.victims), (1, vec![]));
        let choice = choose(&[taken(1, 1, true), taken(0, 0, true)], 1, 3);
        assert_eq!((choice.slot, choice.victims), (2, vec![]));
        // Fewer than two are never kept.
        assert_eq!(choose(&[taken(0, 1, true)], 0, 0).slot, 1);
    }

    #[test]
    fn then_the_oldest_that_is_neither_current_nor_the_last_good_one() {
        let good = [taken(0, 3, true), taken(1, 1, true), taken(2, 2, true)];
        let choice = choose(&good, 0, 3);
        assert_eq!((choice.slot, choice.victims), (1, vec![1]));
        // The current one was never seen running: what ran last stays.
        let bad = [taken(0, 3, false), taken(1, 1, true), taken(2, 0, true)];
        let choice = choose(&bad, 0, 3);
        assert_eq!((choice.slot, choice.victims), (2, vec![2]));
    }

    #[test]
    fn a_current_one_that_never_ran_is_replaced_before_the_last_good_one() {
        let choice = choose(&[taken(0, 1, true), taken(1, 2, false)], 1, 2);
        assert_eq!((choice.slot, choice.victims), (1, vec![1]));
        // Nobody saw any of them run: the older goes.
        let choice = choose(&[taken(0, 1, false), taken(1, 2, false)], 1, 2);
        assert_eq!((choice.slot, choice.victims), (0, vec![0]));
    }

    #[test]
    fn a_smaller_number_empties_slots() {
        let four = [
            taken(0, 1, true),
            taken(1, 2, true),
            taken(2, 3, true),
            taken(3, 4, true),
        ];
        let choice = choose(&four, 3, 2);
        assert_eq!((choice.slot, choice.victims), (0, vec![0, 1, 2]));
    }
}

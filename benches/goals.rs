//! What berth is to reach, and whether it did.

/// A figure and the most that it may be.
#[derive(Debug)]
pub struct Goal {
    pub what: String,
    pub limit: f64,
    pub unit: &'static str,
    /// `None` where something that it takes is not installed, or failed.
    pub found: Option<f64>,
}

impl Goal {
    pub fn is_missed(&self) -> bool {
        self.found.is_some_and(|found| found > self.limit)
    }

    /// `met     fsck of python beside ostree: 0.12 × (at most 0.20 ×)`
    pub fn describe(&self) -> String {
        let Self {
            what, limit, unit, ..
        } = self;
        let verdict = match self.found {
            None => "unknown",
            Some(_) if self.is_missed() => "MISSED",
            Some(_) => "met",
        };
        let found = self
            .found
            .map_or("not measured".into(), |it| format!("{it:.2} {unit}"));
        format!("  {verdict:<8} {what}: {found} (at most {limit:.2} {unit})")
    }
}

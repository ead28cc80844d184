//! Renaming a container: one document replaced under the lock of names.

use crate::container::Container;
use crate::document;
use crate::error::{Error, Result};
use crate::naming;
use crate::record::RECORD;

impl Container {
    /// Gives the container another name. One that is taken, or is no name, is refused; its own is fine.
    pub fn rename(mut self, name: &str) -> Result<Self> {
        naming::check_name(name)?;
        let _names = self.containers.lock()?;
        let taken = self.containers.list()?;
        let same = |it: &Self| it.record.name == name && it.record.id != self.record.id;
        if let Some((other, _)) = taken.iter().find(|(it, _)| same(it)) {
            return Err(Error::NameTaken {
                name: name.to_owned(),
                id: other.record.id.clone(),
            });
        }
        // What was read before the lock was held may have been renamed or removed since.
        let current = self.containers.load(&self.record.id)?;
        let current = current.ok_or_else(|| Error::NoContainer {
            name: self.record.name.clone(),
        })?;
        self.record = current.record;
        name.clone_into(&mut self.record.name);
        document::write_lasting(&self.dir.join(RECORD), &self.record)?;
        Ok(self)
    }
}

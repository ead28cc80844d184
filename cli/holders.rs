//! Who holds an image, in the words of people: the store knows the ids of pins, whose owners have names.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use runtime::Containers;
use runtime::service::Service;

use crate::context::Context;
use crate::report::Failure;
use crate::services;

/// The names of all who may hold an image, read when the first is asked for.
pub(crate) struct Holders<'c> {
    context: &'c Context,
    names: OnceCell<BTreeMap<String, String>>,
}

impl<'c> Holders<'c> {
    pub(crate) fn new(context: &'c Context) -> Self {
        let names = OnceCell::new();
        Self { context, names }
    }

    /// The names of containers and services in place of their ids, each once. What nobody knows stays an id: a mount, or
    /// what belongs to another root.
    pub(crate) fn named(&self, ids: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for id in ids {
            let names = self.names.get_or_init(|| names(self.context));
            let name = names.get(id).unwrap_or(id);
            if !found.contains(name) {
                found.push(name.clone());
            }
        }
        found
    }
}

/// An error of the store, with the names of those who use the image that was not to be removed.
pub(crate) fn refused(error: store::Error, context: &Context) -> Failure {
    match error {
        store::Error::InUse { image, users } => {
            let users = Holders::new(context).named(&users);
            Failure::from(store::Error::InUse { image, users })
        }
        error => error.into(),
    }
}

/// What can be found out. Whoever asks has an answer without it.
fn names(context: &Context) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    if let Ok(run_dir) = context.run_dir() {
        let containers = Containers::open(&context.root, &run_dir).list();
        for (container, _) in containers.unwrap_or_default() {
            names.insert(container.record.id, container.record.name);
        }
    }
    if let Ok(places) = services::places() {
        for service in Service::all(&places).unwrap_or_default() {
            for id in service.deployments.into_iter().filter_map(|it| it.info.id) {
                names.insert(id, service.name.to_string());
            }
        }
    }
    names
}

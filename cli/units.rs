//! Services as units of systemd: finding one by its name, starting and stopping it, and the one name space that services
//! and containers share.

pub(crate) mod timer;
pub(crate) mod unattended;

use runtime::Containers;
use runtime::service::{self, Deployment, Listed, Manager, Printing, Scope, ServiceName};

use crate::context::Context;
use crate::report::{Failure, note, out};
use crate::services::{manager, places, scope};

/// Whom to ask for states. Where no systemd can be reached that is said, and no state is known.
pub(crate) fn watching() -> Box<dyn Manager> {
    manager(false).unwrap_or_else(|failure| {
        note!(
            "warning: {}: the states of services are unknown",
            failure.text()
        );
        Box::new(Printing::new(scope(), &|_| {}))
    })
}

/// The service of this name, with its state.
pub(crate) fn find_service(name: &str) -> Result<Option<Listed>, Failure> {
    let Ok(name) = ServiceName::new(name) else {
        return Ok(None);
    };
    let places = places()?;
    if !is_there(&name) {
        return Ok(None);
    }
    let manager = watching();
    let (checkouts, given) = (&places.checkouts, &places.preinstalled);
    Ok(service::find(checkouts, given, manager.as_ref(), &name)?)
}

/// Whether there is a service of this name. Where there is no place for services there are none.
fn is_there(name: &ServiceName) -> bool {
    places().is_ok_and(|places| {
        places.link(name).is_symlink() || places.preinstalled.join(name.as_str()).is_dir()
    })
}

/// The service that a name may mean.
fn named(name: &str) -> Option<ServiceName> {
    ServiceName::new(name).ok().filter(is_there)
}

/// Refuses a container the name of a service.
pub(crate) fn refuse_service_name(name: &str) -> Result<(), Failure> {
    match named(name) {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!(
            "cannot use name {name}: the service {name} has it"
        ))
        .hint("choose another name; `berth services -a` lists the services")),
    }
}

/// Refuses a service the name of a container.
pub(crate) fn refuse_container_name(name: &str, context: &Context) -> Result<(), Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?).list()?;
    match containers.iter().find(|(it, _)| it.record.name == name) {
        None => Ok(()),
        Some((container, _)) => Err(runtime::Error::NameTaken {
            name: name.to_owned(),
            id: container.record.id.clone(),
        }
        .into()),
    }
}

/// Asks a service that is up how it is, where its image says how.
pub(crate) fn health(deployment: &Deployment) -> runtime::Result<Option<String>> {
    let info = &deployment.info;
    let (Some(health), Some(runtime)) = (&info.health, &info.runtime) else {
        return Ok(None);
    };
    let words: Vec<String> = runtime.split_whitespace().map(str::to_owned).collect();
    health.ask(&words, deployment.name.as_str())
}

/// The names that are services', and all others.
pub(crate) fn split(names: Vec<String>) -> (Vec<ServiceName>, Vec<String>) {
    let mut services = Vec::new();
    let mut others = Vec::new();
    for name in names {
        match named(&name) {
            Some(name) => services.push(name),
            None => others.push(name),
        }
    }
    (services, others)
}

/// Does something with the unit of each service and prints the name. Stops at none; `false` if one failed.
pub(crate) fn each(
    services: &[ServiceName],
    act: impl Fn(&dyn Manager, &str) -> runtime::Result<()>,
) -> Result<bool, Failure> {
    if services.is_empty() {
        return Ok(true);
    }
    let manager = manager(false)?;
    let mut all = true;
    for name in services {
        match act(manager.as_ref(), &name.unit()) {
            Ok(()) => out!("{name}")?,
            Err(error) => {
                Failure::from(error).report();
                all = false;
            }
        }
    }
    Ok(all)
}

/// What no container of this name is told as: with the way, where it is a service.
pub(crate) fn no_container(error: runtime::Error, name: &str, verb: Verb) -> Failure {
    let is_missing = matches!(error, runtime::Error::NoContainer { .. });
    let failure = Failure::from(error);
    let Some(name) = named(name).filter(|_| is_missing) else {
        return failure;
    };
    let journal = match scope() {
        Scope::Root => "journalctl",
        Scope::User => "journalctl --user",
    };
    failure.hint(match verb {
        Verb::Logs => format!("{name} is a service: {journal} -u {name}"),
        Verb::Exec => format!("{name} is a service: berth run-in {name} COMMAND"),
    })
}

/// What was asked of a container that is none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    /// Its output.
    Logs,
    /// A command in it.
    Exec,
}

//! `berth port`.

use std::process::ExitCode;

use runtime::{Container, Containers, Port, State};

use crate::context::Context;
use crate::report::{Failure, out};

/// List the published ports of containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth port web\n  berth port web 80/tcp\n  berth port --all")]
pub(crate) struct PortArgs {
    /// Those of every container that runs
    #[arg(short, long, conflicts_with = "container")]
    all: bool,
    /// A name, an id or the start of one
    #[arg(required_unless_present = "all")]
    container: Option<String>,
    /// Only where this port of the container is reached
    #[arg(value_name = "PORT[/PROTOCOL]", conflicts_with = "all")]
    port: Option<String>,
}

/// Prints `80/tcp -> 0.0.0.0:8080` for each port, or only the place of one.
pub(crate) fn port(args: PortArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let Some(name) = &args.container else {
        for (container, state) in containers.list()? {
            if matches!(state, State::Running { .. } | State::Paused { .. }) {
                let id: String = container.record.id.chars().take(12).collect();
                print(&container, &format!("{id}\t"))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    let container = containers.find(name)?;
    let Some(wanted) = &args.port else {
        print(&container, "")?;
        return Ok(ExitCode::SUCCESS);
    };
    let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let number: u16 = number
        .parse()
        .map_err(|_| Failure::usage(format!("cannot use port {wanted}: it is no number")))?;
    let found: Vec<&Port> = published(&container)
        .filter(|it| it.inside == number && it.protocol.name() == protocol)
        .collect();
    if found.is_empty() {
        return Err(Failure::new(format!(
            "cannot find port {number}/{protocol}: container {name} does not publish it"
        )));
    }
    for port in found {
        out!("{}", outside(port))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn published(container: &Container) -> impl Iterator<Item = &Port> {
    container.record.settings.net.publish.iter()
}

fn print(container: &Container, before: &str) -> Result<(), Failure> {
    for port in published(container) {
        let inside = format!("{}/{}", port.inside, port.protocol.name());
        out!("{before}{inside} -> {}", outside(port))?;
    }
    Ok(())
}

/// Where a port is reached, as `0.0.0.0:8080`.
fn outside(port: &Port) -> String {
    let shown = port.to_string();
    shown.split("->").next().unwrap_or_default().to_owned()
}

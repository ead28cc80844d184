//! What a service is: what was installed, and what systemd knows of its unit.

use runtime::service::{Listed, UnitState};
use serde_json::{Value, json};

use crate::moment::written;
use crate::report::Failure;

/// The service in the words of a container, where it has the same, and its `info` as it stands.
pub(super) fn describe(service: &Listed) -> Result<Value, Failure> {
    let info = service.info.to_text().map_err(Failure::new)?;
    let info: Value = serde_json::from_str(&info).map_err(Failure::new)?;
    let unit = service.unit.as_ref();
    Ok(json!({
        "Id": service.name.as_str(),
        "Name": service.name.as_str(),
        "Kind": "service",
        "Created": written(service.info.created.checked_mul(1_000_000_000)),
        "Path": service.command.first(),
        "Args": service.command.get(1..).unwrap_or_default(),
        "Image": service.info.revision,
        "ImageName": service.info.image,
        "State": state(service, unit),
        "RestartCount": unit.map(|unit| unit.restarts).unwrap_or_default(),
        "Unit": service.info.has_container_service.then(|| service.name.unit()),
        "BundlePath": service.dir,
        "OCIConfigPath": service.dir.join("config.json"),
        "Preinstalled": service.is_preinstalled,
        "Problem": service.problem,
        "Info": info,
    }))
}

fn state(service: &Listed, unit: Option<&UnitState>) -> Value {
    let ended = unit.is_some_and(|unit| unit.main_pid.is_none());
    json!({
        "Status": service.state.name(),
        "Running": service.state == runtime::service::ServiceState::Running,
        "Pid": unit.and_then(|unit| unit.main_pid).unwrap_or_default(),
        "ExitCode": unit.filter(|_| ended).map(|unit| unit.exit_status).unwrap_or_default(),
        "SubState": unit.map(|unit| unit.sub.as_str()).unwrap_or_default(),
        "Result": unit.map(|unit| unit.result.as_str()).unwrap_or_default(),
        "Invocation": unit.map(|unit| unit.invocation.as_str()).unwrap_or_default(),
    })
}

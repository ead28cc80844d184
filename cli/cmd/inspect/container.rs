//! What a container is, in podman's words.

use std::collections::BTreeMap;

use runtime::{Container, Inspection, Record, Restart, State};
use serde_json::{Map, Value, json};

use crate::cmd::ps::row::network;
use crate::moment::written;
use crate::report::{Failure, human_size};

/// The container as podman tells it, as far as berth has the same.
pub(super) fn describe(container: &Container) -> Result<Value, Failure> {
    let record = &container.record;
    let known = container.inspect()?;
    let args = container.command();
    let mut value = json!({
        "Id": record.id,
        "Created": written(Some(record.created)),
        "Path": args.first(),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state(&known),
        "Image": record.image_id.hex(),
        "ImageName": record.image,
        "Name": record.name,
        "RestartCount": known.restarts,
        "Driver": "overlay",
        "BundlePath": known.bundle,
        "OCIConfigPath": known.bundle.join("config.json"),
        "Mounts": mounts(&known),
        "Config": config(container, &known),
        "HostConfig": host_config(container, &known),
        "NetworkSettings": network_settings(record),
        "Platform": "linux",
        "ProcessLabel": "",
        "MountLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": [],
        "GraphDriver": {"Name": "overlay", "Data": {
            "LowerDir": known.lower,
            "UpperDir": known.upper,
            "WorkDir": known.work,
            "MergedDir": known.merged,
        }},
    });
    if let (Some(path), Some(map)) = (&known.log, value.as_object_mut()) {
        map.insert("LogPath".to_owned(), json!(path));
    }
    Ok(value)
}

fn state(known: &Inspection) -> Value {
    let (pid, code) = match known.state {
        State::Running { pid, .. } | State::Paused { pid, .. } => (pid, Some(0)),
        State::Restarting { code } => (0, Some(code)),
        State::Exited { code, .. } => (0, code),
        State::Created => (0, Some(0)),
    };
    // One without checks has an empty answer, so that templates find the field.
    let unchecked = || json!({"Status": "", "FailingStreak": 0, "Log": null});
    json!({
        "Status": known.state.name(),
        "Running": matches!(known.state, State::Running { .. }),
        "Paused": matches!(known.state, State::Paused { .. }),
        "Restarting": matches!(known.state, State::Restarting { .. }),
        "OOMKilled": known.oom_killed,
        "Dead": false,
        "Pid": pid,
        // Nobody knows the code of a container whose supervisor was killed; podman says so with -1.
        "ExitCode": code.unwrap_or(-1),
        "Error": "",
        "StartedAt": written(known.started),
        "FinishedAt": written(known.finished),
        "Health": known.health.clone().unwrap_or_else(unchecked),
    })
}

fn mounts(known: &Inspection) -> Vec<Value> {
    let mount = |mount: &runtime::Mounted| {
        let mut value = Map::new();
        let (kind, driver) = match mount.volume {
            Some(_) => ("volume", "local"),
            None => ("bind", ""),
        };
        value.insert("Type".to_owned(), kind.into());
        if let Some(name) = &mount.volume {
            value.insert("Name".to_owned(), name.as_str().into());
        }
        value.insert("Source".to_owned(), json!(mount.source));
        value.insert("Destination".to_owned(), json!(mount.destination));
        value.insert("Driver".to_owned(), driver.into());
        value.insert("Mode".to_owned(), "".into());
        value.insert("RW".to_owned(), (!mount.read_only).into());
        value.into()
    };
    known.mounts.iter().map(mount).collect()
}

fn config(container: &Container, known: &Inspection) -> Value {
    let record = &container.record;
    let (image, settings) = (&record.config, &record.settings);
    let entrypoint = settings.entrypoint.as_ref().or(image.entrypoint.as_ref());
    let cmd = match (settings.command.is_empty(), &settings.entrypoint) {
        (false, _) => Some(&settings.command),
        (true, Some(_)) => None,
        (true, None) => image.cmd.as_ref(),
    };
    let mut labels: BTreeMap<&String, &String> = image.labels.iter().flatten().collect();
    labels.extend(&settings.labels);
    json!({
        "Hostname": known.hostname,
        "Domainname": "",
        "User": known.user,
        "Tty": settings.terminal,
        "OpenStdin": settings.interactive,
        "Env": known.env,
        "Cmd": cmd,
        "Entrypoint": entrypoint,
        "Image": record.image,
        "WorkingDir": known.workdir,
        "Labels": labels,
        "StopSignal": container.stop_signal().number(),
        "StopTimeout": settings.life.stop_timeout.unwrap_or(10),
        "Annotations": settings.security.annotations,
        "Volumes": image.volumes,
        "ExposedPorts": image.exposed_ports,
        "Healthcheck": known.check,
    })
}

/// No network here has addresses that somebody could ask for: the host's, none, or pasta's, which are the host's too.
fn network_settings(record: &Record) -> Value {
    json!({
        "Ports": ports(record),
        "IPAddress": "",
        "IPPrefixLen": 0,
        "Gateway": "",
        "GlobalIPv6Address": "",
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": {},
    })
}

/// Where each published port of the container is reached.
fn ports(record: &Record) -> Value {
    let mut ports = serde_json::Map::new();
    for port in &record.settings.net.publish {
        let inside = format!("{}/{}", port.inside, port.protocol.name());
        let outside = json!({
            "HostIp": port.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            "HostPort": port.host.to_string(),
        });
        if let Some(list) = ports
            .entry(inside)
            .or_insert_with(|| json!([]))
            .as_array_mut()
        {
            list.push(outside);
        }
    }
    Value::Object(ports)
}

fn host_config(container: &Container, known: &Inspection) -> Value {
    let settings = &container.record.settings;
    let (life, log) = (&settings.life, &settings.life.log);
    let (policy, tries) = match life.restart {
        Restart::No => ("no", 0),
        Restart::OnFailure(tries) => ("on-failure", tries.unwrap_or(0)),
        Restart::Always => ("always", 0),
        Restart::UnlessStopped => ("unless-stopped", 0),
    };
    let binds: Vec<String> = known
        .mounts
        .iter()
        .map(|mount| {
            let source = mount.source.display().to_string();
            let mode = if mount.read_only { "ro" } else { "rw" };
            let destination = mount.destination.display();
            format!(
                "{}:{destination}:{mode}",
                mount.volume.as_ref().unwrap_or(&source)
            )
        })
        .collect();
    let tmpfs: BTreeMap<String, String> = settings
        .tmpfs
        .iter()
        .map(|it| (it.destination.display().to_string(), it.options.join(",")))
        .collect();
    let ulimits = settings.limits.ulimits.iter();
    let rest = json!({
        "Binds": binds,
        "Tmpfs": tmpfs,
        "LogConfig": {
            "Type": log.driver.name(),
            "Path": known.log,
            "Tag": log.tag.as_deref().unwrap_or_default(),
            "Size": human_size(log.file_bytes_max),
            "Files": log.files_max,
        },
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": tries},
        "AutoRemove": life.remove,
        "Init": life.init,
        "ReadonlyRootfs": settings.read_only,
        "CapAdd": settings.security.cap_add,
        "CapDrop": settings.security.cap_drop,
        "SecurityOpt": match settings.security.no_new_privileges {
            true => vec!["no-new-privileges"],
            false => vec![],
        },
        "GroupAdd": settings.groups,
        "VolumesFrom": null,
        "ContainerIDFile": "",
        "CgroupParent": "",
        "Runtime": "berth",
        "Ulimits": ulimits
            .map(|it| json!({"Name": it.kind, "Soft": it.soft, "Hard": it.hard}))
            .collect::<Vec<_>>(),
        "Privileged": settings.security.privileged,
        "Sysctls": settings.security.sysctls,
    });
    let parts = [limits(container), surroundings(&container.record), rest];
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect())
}

/// What it shares with the host, and what it is told of networks.
fn surroundings(record: &Record) -> Value {
    let settings = &record.settings;
    let hosts = settings.net.hosts.iter();
    json!({
        "NetworkMode": network(record),
        "PidMode": "private",
        "IpcMode": space(settings.security.host_ipc),
        "UTSMode": space(settings.security.host_uts),
        "Dns": settings.net.dns,
        "DnsSearch": settings.net.dns_search,
        "DnsOptions": settings.net.dns_options,
        "ExtraHosts": hosts.map(|host| {
            let address = host.address.map_or("host-gateway".to_owned(), |address| address.to_string());
            format!("{}:{address}", host.name)
        }).collect::<Vec<_>>(),
        "PortBindings": ports(record),
        "PublishAllPorts": settings.net.publish_all,
    })
}

fn space(is_hosts: bool) -> &'static str {
    if is_hosts { "host" } else { "private" }
}

/// The limits that were asked for, 0 or empty where there is none.
fn limits(container: &Container) -> Value {
    let limits = &container.record.settings.limits;
    json!({
        "Memory": limits.memory.unwrap_or(0),
        "MemorySwap": limits.memory_swap.unwrap_or(0),
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "NanoCpus": limits.nano_cpus.unwrap_or(0),
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.as_deref().unwrap_or_default(),
        "CpusetMems": limits.cpuset_mems.as_deref().unwrap_or_default(),
        "PidsLimit": limits.pids.unwrap_or(0),
        "ShmSize": limits.shm_size.unwrap_or(0),
        "OomScoreAdj": limits.oom_score_adj.unwrap_or(0),
    })
}

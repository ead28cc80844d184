//! podman, skopeo and umoci take what left, and see the files that were in the image before it was ever here.

use serde_json::Value;

use super::{judge, pushed, sample, stored};
use crate::needs;
use crate::support::Home;
use crate::support::image::Form;
use crate::support::registry::Registry;

/// Lists a tree: type, mode, path and link target, then the content of each file.
const LIST: &str = r#"list() { (cd "$1"; find . -mindepth 1 -printf '%y %m %p %l\n'
    find . -type f -exec sha256sum {} +) | sort; }"#;

const PODMAN: &str = r#"podman() { command podman --root "$PWD/store" --runroot "$PWD/run" --storage-driver vfs \
    --cgroup-manager cgroupfs --events-backend none "$@"; }"#;

/// The tree of an image in a layout, as umoci unpacks it.
fn umoci(home: &Home, image: &str, at: &str) -> String {
    let script = format!(
        "{LIST}
        umoci unpack --rootless --image '{image}' '{at}' >/dev/null
        list '{at}/rootfs'"
    );
    judge(home, &script).ok().stdout
}

/// The tree of an image that podman gets with `get`, which prints its id last.
fn podman(home: &Home, get: &str) -> String {
    let quoted = LIST.replace('\'', r"'\''");
    let script = format!(
        "{PODMAN}
        id=$({get})
        export id
        podman unshare sh -euc '{PODMAN}
            {quoted}
            list \"$(podman image mount \"$id\")\"'
        podman rmi -f \"$id\" >/dev/null
        podman unshare rm -rf store run"
    );
    judge(home, &script).ok().stdout
}

#[test]
fn what_is_pushed_is_the_image_that_was_pulled() {
    needs!(Registry, Podman, Skopeo, Umoci, Ranges);
    let (home, registry) = (Home::new(), Registry::start());
    for form in Form::ALL {
        let name = format!("app-{form:?}").to_lowercase();
        let image = sample(form);
        stored(&home, &name, &image, &[]);
        let url = registry.url(&format!("team/{name}:1"));
        home.berth(["push", "-q", &name, &url]).ok();
        let (digest, manifest) = pushed(&registry, &format!("team/{name}"), "1");
        assert_eq!(manifest["config"], image.manifest()["config"]);

        let inspect = format!("skopeo inspect --tls-verify=false {url}");
        let found = judge(&home, &inspect).ok().json();
        assert_eq!(found["Digest"], digest.as_str());

        // umoci 0.4 knows no zstd
        let before = match form {
            Form::Zstd => None,
            _ => Some(umoci(
                &home,
                &format!("layout-{name}:latest"),
                &format!("before-{name}"),
            )),
        };
        let copied = format!("skopeo copy -q --src-tls-verify=false {url} oci:copied-{name}:1");
        judge(&home, &copied).ok();
        let pull = format!("podman pull -q --tls-verify=false {url}");
        let seen = podman(&home, &pull);
        assert!(seen.contains("f 4755 ./bin/su "), "{seen}");
        assert!(!seen.contains("./etc/gone"), "{seen}");
        let original = podman(&home, &format!("podman pull -q oci:layout-{name}:latest"));
        assert_eq!(
            seen, original,
            "podman sees other files than in the original"
        );
        if let Some(before) = before {
            let after = umoci(&home, &format!("copied-{name}:1"), &format!("after-{name}"));
            assert_eq!(after, before, "umoci sees other files than in the original");
        }
    }
}

#[test]
fn what_is_saved_is_the_image_that_was_pulled() {
    needs!(Podman, Skopeo, Umoci, Ranges);
    let home = Home::new();
    let image = sample(Form::Gzip);
    let name = "registry.example/app:1";
    stored(&home, name, &image, &[]);
    let layout = "layout-registry.example-app-1:latest";
    let original = podman(&home, &format!("podman pull -q oci:{layout}"));
    let before = umoci(&home, layout, "before");
    let config: Value = serde_json::from_slice(&image.config_bytes()).unwrap();
    for format in ["oci-archive", "docker-archive"] {
        let file = format!("{format}.tar");
        home.berth(["save", "-q", "--format", format, "-o", &file, name])
            .ok();
        let load = format!(
            "podman load -q -i {file} >&2; podman image inspect --format '{{{{.Id}}}}' {name}"
        );
        assert_eq!(podman(&home, &load), original, "podman load of {format}");
        let inspect = format!("skopeo inspect --config --raw {format}:{file}");
        assert_eq!(judge(&home, &inspect).ok().json(), config);
        judge(
            &home,
            &format!("skopeo copy -q {format}:{file} oci:copied-{format}:1"),
        )
        .ok();
        let after = umoci(
            &home,
            &format!("copied-{format}:1"),
            &format!("after-{format}"),
        );
        assert_eq!(after, before, "umoci sees other files in {format}");
    }
}

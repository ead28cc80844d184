//! Where `registries.conf` leads, shown by who is asked; skopeo reads the same file.

use super::{conf, honest, image, manifests};
use crate::needs;
use crate::pull::double::{Answer, Double};
use crate::support::registry::free_port;
use crate::support::{Home, digest};

const NAME: &str = "registry.example/team/app";

/// `NAME` is at `primary`, and before that at `mirrors`; with a line for each.
fn entry(primary: &str, more: &str, mirrors: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[[registry]]\nprefix = \"registry.example/team\"\nlocation = \"{primary}\"\n{more}\n"
    );
    for (location, more) in mirrors {
        text += &format!("[[registry.mirror]]\nlocation = \"{location}\"\n{more}\n");
    }
    text
}

#[test]
fn a_mirror_answers_and_the_image_keeps_its_name() {
    let (home, primary, mirror) = (Home::new(), honest(), honest());
    let file = conf(&home, &entry(&primary.host(), "", &[(&mirror.host(), "")]));
    let manifest = digest(&serde_json::to_vec(&image().manifest()).unwrap());
    let ran = home
        .berth(["--log-level", "info", "pull", NAME])
        .env("CONTAINERS_REGISTRIES_CONF", &file)
        .ok();
    assert_eq!(ran.stdout, format!("{NAME}:latest@{manifest}\n"));
    ran.err_has(&format!("{}/app answers\n", mirror.host()));
    assert_eq!(primary.asked("/").len(), 0);
    assert_eq!(mirror.asked("/v2/app/").len(), 3, "manifest, config, layer");
    home.berth(["cat", NAME, "/etc/app"]).ok().out_has("app\n");
}

#[test]
fn the_next_place_is_asked_when_a_mirror_fails() {
    let (home, primary) = (Home::new(), honest());
    let empty = Double::serve(&image(), |asked| {
        (asked.path != "/v2/").then(|| Answer::status(404))
    });
    let lying = Double::serve(&image(), |asked| {
        let wrong = || Answer::ok("{}").with("Docker-Content-Digest", digest(b"other"));
        asked.path.contains("/manifests/").then(wrong)
    });
    let dead = format!("127.0.0.1:{}", free_port());
    let mirrors = [
        (dead.as_str(), ""),
        (&empty.host(), ""),
        (&lying.host(), ""),
    ];
    let file = conf(&home, &entry(&primary.host(), "", &mirrors));
    let ran = home
        .berth(["--progress", "json", "pull", NAME])
        .env("CONTAINERS_REGISTRIES_CONF", &file)
        .ok();
    let events: Vec<serde_json::Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let said = |event: &str, key: &str| -> Vec<String> {
        let events = events.iter().filter(|it| it["event"] == event);
        events
            .map(|it| it[key].as_str().unwrap().to_owned())
            .collect()
    };
    let places = [&dead, &empty.host(), &lying.host()].map(|host| format!("{host}/app"));
    assert_eq!(said("mirror-failed", "place"), places);
    assert_eq!(
        said("answered", "place"),
        [format!("{}/app", primary.host())]
    );
    assert_eq!(
        (manifests(&empty), manifests(&lying), manifests(&primary)),
        (1, 1, 1)
    );
}

#[test]
fn all_that_was_tried_is_told() {
    let home = Home::new();
    let empty = Double::serve(&image(), |asked| {
        (asked.path != "/v2/").then(|| Answer::status(404))
    });
    let [dead, last] = [(), ()].map(|()| format!("127.0.0.1:{}", free_port()));
    let mirrors = [(dead.as_str(), ""), (&empty.host(), "")];
    let file = conf(&home, &entry(&last, "", &mirrors));
    let ran = home
        .berth(["pull", NAME])
        .env("CONTAINERS_REGISTRIES_CONF", &file)
        .fails(1)
        .one_error();
    let empty = empty.host();
    ran.err_has(&format!(
        "error: cannot pull docker://{NAME}:latest: \
         mirror {dead}/app failed (cannot reach {dead}: connection refused), \
         mirror {empty}/app failed (image {NAME}:latest not found in registry {empty}): \
         cannot reach {last}: connection refused\n"
    ));
}

#[test]
fn a_blob_that_a_mirror_lacks_comes_from_the_next_place() {
    let (home, primary) = (Home::new(), honest());
    let layer = image().layers[0].digest.clone();
    let wanted = layer.clone();
    let mirror = Double::serve(&image(), move |asked| {
        asked.path.contains(&wanted).then(|| Answer::status(404))
    });
    let file = conf(&home, &entry(&primary.host(), "", &[(&mirror.host(), "")]));
    home.berth(["pull", "-q", NAME])
        .env("CONTAINERS_REGISTRIES_CONF", &file)
        .ok();
    assert_eq!((manifests(&mirror), manifests(&primary)), (1, 0));
    assert_eq!(primary.asked(&layer).len(), 1);
    assert_eq!(
        primary.asked("/blobs/").len(),
        1,
        "the config came from the mirror"
    );
}

#[test]
fn a_blob_that_breaks_off_goes_on_at_the_next_place() {
    let (home, primary) = (Home::new(), honest());
    let layer = image().layers[0].clone();
    let (wanted, blob) = (layer.digest.clone(), layer.blob.clone());
    let cut = blob.len() / 2;
    let mirror = Double::serve(&image(), move |asked| {
        let answer = match asked.start() {
            0 => Answer::ok(blob.clone()).cut(cut),
            _ => Answer::status(404),
        };
        asked.path.contains(&wanted).then_some(answer)
    });
    let file = conf(&home, &entry(&primary.host(), "", &[(&mirror.host(), "")]));
    home.berth(["pull", "-q", NAME])
        .env("CONTAINERS_REGISTRIES_CONF", &file)
        .ok();
    let asked = primary.asked(&layer.digest);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].start(), cut);
    home.berth(["cat", NAME, "/etc/app"]).ok().out_has("app\n");
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let (home, primary, mirror) = (Home::new(), honest(), honest());
    let pull = |text: &str, name: &str| {
        home.berth(["pull", "-q", name])
            .env("CONTAINERS_REGISTRIES_CONF", conf(&home, text))
    };
    let file = home.join("registries.conf").display().to_string();
    let ran = pull(&entry(&primary.host(), "blocked = true", &[]), NAME)
        .fails(1)
        .one_error();
    ran.err_has(&format!(
        "cannot pull docker://{NAME}:latest: registry registry.example/team is blocked in {file}\n"
    ));
    let everywhere = format!(
        "[[registry]]\nlocation = \"{}\"\nblocked = true",
        primary.host()
    );
    let name = format!("{}/app", primary.host());
    pull(&everywhere, &name)
        .fails(1)
        .err_has(&format!("is blocked in {file}\n"));
    assert_eq!(primary.asked("").len(), 0);
    // its mirrors are: this is how a source is cut off for good
    let mirrored = entry(&primary.host(), "blocked = true", &[(&mirror.host(), "")]);
    pull(&mirrored, NAME).ok();
    assert_eq!((primary.asked("").len(), manifests(&mirror)), (0, 1));
}

#[test]
fn credentials_are_not_for_mirrors() {
    let home = Home::new();
    let picky = || {
        Double::serve(&image(), |asked| {
            let refuse = || Answer::status(401).with("WWW-Authenticate", "Basic realm=\"x\"");
            asked.header("authorization").is_none().then(refuse)
        })
    };
    let (primary, mirror) = (picky(), picky());
    let host = primary.host();
    let text = format!(
        "[[registry]]\nlocation = \"{host}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        mirror.host()
    );
    home.berth(["pull", "-q", "--creds", "u:p", &format!("{host}/app")])
        .env("CONTAINERS_REGISTRIES_CONF", conf(&home, &text))
        .ok();
    let shown = |double: &Double| {
        let asked = double.asked("/manifests/");
        asked
            .iter()
            .filter(|it| it.header("authorization").is_some())
            .count()
    };
    assert_eq!((manifests(&mirror), shown(&mirror)), (1, 0));
    assert_eq!(shown(&primary), 1);
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let (home, primary) = (Home::new(), honest());
    let url = primary.url();
    let pull = |text: &str| {
        home.berth(["pull", "-q", &url])
            .env("CONTAINERS_REGISTRIES_CONF", conf(&home, text))
    };
    let file = home.join("registries.conf").display().to_string();
    let ran = pull("\n[[registry]\n").fails(1).one_error();
    ran.err_has(&format!(
        "cannot pull {url}:latest: {file}, line 2, is malformed: "
    ));
    let ran = pull("[registries.insecure]\nregistries = ['x']")
        .fails(1)
        .one_error();
    ran.err_has(&format!(
        "{file}, line 2, is malformed: this is version 1 of the format"
    ));
    let gone = home.join("gone");
    let ran = home
        .berth(["pull", "-q", &url])
        .env("CONTAINERS_REGISTRIES_CONF", &gone)
        .fails(1)
        .one_error();
    ran.err_has(&format!(
        "cannot open {}: No such file or directory\n",
        gone.display()
    ));
    assert_eq!(primary.asked("").len(), 0);
}

#[test]
fn the_user_has_files_too() {
    let (home, primary, mirror) = (Home::new(), honest(), honest());
    let dir = "user/.config/containers";
    super::directory(&home, &format!("{dir}/registries.conf.d"), &[]);
    let text = entry(&primary.host(), "", &[]);
    home.write(&format!("{dir}/registries.conf"), text);
    let pull = || {
        let ran = home.berth(["pull", "-q", NAME]);
        ran.env("HOME", home.join("user")).ok();
        (manifests(&primary), manifests(&mirror))
    };
    assert_eq!(pull(), (1, 0));
    let text = entry(&primary.host(), "", &[(&mirror.host(), "")]);
    home.write(&format!("{dir}/registries.conf.d/50-mirror.conf"), text);
    assert_eq!(pull(), (1, 1));
}

/// Every question about a manifest that a tool asks of the three.
fn asked(doubles: &[Double; 3], before: &[usize; 3]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, double) in doubles.iter().enumerate() {
        let asked = double.asked("/manifests/").into_iter().skip(before[number]);
        found.extend(asked.map(|it| (number, it.path)));
    }
    found
}

#[test]
fn skopeo_reads_the_same_of_it() {
    needs!(Skopeo);
    let home = Home::new();
    // the last one has nothing, so that whoever asks it goes on
    let doubles = [
        honest(),
        honest(),
        Double::serve(&image(), |asked| {
            (asked.path != "/v2/").then(|| Answer::status(404))
        }),
    ];
    let [a, b, none] = [0, 1, 2].map(|number| doubles[number].host());
    let pinned = format!(
        "{NAME}@{}",
        digest(&serde_json::to_vec(&image().manifest()).unwrap())
    );
    let (yes, digests) = (
        "insecure = true",
        "insecure = true\npull-from-mirror = \"digest-only\"",
    );
    let tags = "insecure = true\npull-from-mirror = \"tag-only\"";
    let only = "insecure = true\nmirror-by-digest-only = true";
    let wild =
        { format!("[[registry]]\nprefix = \"*.example\"\nlocation = \"{b}\"\ninsecure = true\n") };
    let table = [
        (entry(&a, yes, &[(&b, yes)]), NAME),
        (entry(&a, yes, &[(&none, yes), (&b, yes)]), NAME),
        (entry(&a, yes, &[(&b, digests)]), NAME),
        (entry(&a, yes, &[(&b, digests)]), &pinned),
        (entry(&a, yes, &[(&b, tags)]), NAME),
        (entry(&a, yes, &[(&b, tags)]), &pinned),
        (entry(&a, only, &[(&b, yes)]), NAME),
        (entry(&a, only, &[(&b, yes)]), &pinned),
        (entry(&none, yes, &[]), NAME),
        (entry(&a, yes, &[]) + &wild, NAME),
        (wild.clone(), "registry.example/app"),
        (wild.clone(), "a.registry.example:5000/app"),
        (entry(&a, yes, &[]) + &entry(&b, yes, &[]), NAME),
        (
            format!("[[registry]]\nlocation = \"{a}\"\nblocked = true\ninsecure = true\n"),
            &format!("{a}/app"),
        ),
        (
            format!(
                "[[registry]]\nlocation = \"{a}\"\nblocked = true\ninsecure = true\n[[registry.mirror]]\nlocation = \"{b}\"\ninsecure = true\n"
            ),
            &format!("{a}/app"),
        ),
    ];
    for (text, name) in table {
        let file = conf(&home, &text);
        let count = || [0, 1, 2].map(|number| manifests(&doubles[number]));
        let before = count();
        let source = format!("docker://{name}");
        let theirs = home
            .program("skopeo")
            .env("XDG_RUNTIME_DIR", home.path())
            .args([
                "--registries-conf",
                &file.to_string_lossy(),
                "inspect",
                "--raw",
                &source,
            ])
            .run();
        let asked_by_them = asked(&doubles, &before);
        let before = count();
        let ours = home
            .berth(["inspect", &source])
            .env("CONTAINERS_REGISTRIES_CONF", &file)
            .run();
        let said = format!("{}{}", theirs.stderr, ours.stderr);
        let (theirs, ours) = (theirs.exit() == 0, ours.exit() == 0);
        assert_eq!(
            asked(&doubles, &before),
            asked_by_them,
            "{name} with\n{text}\n{said}"
        );
        assert_eq!(ours, theirs, "{name} with\n{text}\n{said}");
    }
}

//! Every limit on what a registry, a layout or an archive says: what is at it passes, one more does not. Those on a
//! layer's content are in [`super::bombs`] and with the store.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fetch::Patience;
use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, getsockname, listen, socket};
use store::{LockKind, LockWait, Mode, Repo};

use super::{Puller, chain, patience, sized, small};
use crate::pull::double::{Answer, Asked, Double, ranged};
use crate::support::Home;
use crate::support::image::{Image, OCI_MANIFEST, Tar};

/// Serves manifests as `script` says.
fn manifests(script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Double {
    Double::serve(&small(), move |asked| {
        let is_manifest = asked.path.contains("/manifests/");
        is_manifest.then(|| script(asked)).flatten()
    })
}

#[test]
fn a_manifest_ends_at_four_mebibytes() {
    let of = |size: usize| {
        let mut body = serde_json::to_vec(&small().manifest()).unwrap();
        body.resize(size, b' ');
        manifests(move |_| Some(Answer::ok(body.clone()).with("Content-Type", OCI_MANIFEST)))
    };
    Puller::new().ok(&of(4 << 20));
    let error = Puller::new().fails(&of((4 << 20) + 1));
    assert!(
        error.ends_with("is too large: the limit is 4194304 bytes"),
        "{error}"
    );
}

#[test]
fn what_a_manifest_says_of_sizes_ends_at_the_limits() {
    let of = |field: &str, size: u64| {
        let mut manifest = small().manifest();
        match field {
            "config" => manifest["config"]["size"] = size.into(),
            _ => manifest["layers"][0]["size"] = size.into(),
        }
        let body = serde_json::to_vec(&manifest).unwrap();
        let double =
            manifests(move |_| Some(Answer::ok(body.clone()).with("Content-Type", OCI_MANIFEST)));
        Puller::new().fails(&double)
    };
    for (field, limit) in [("config", 4 << 20), ("layer", 64 << 30)] {
        // At the limit it is asked for, and then turns out to be smaller.
        let error = of(field, limit);
        assert!(error.contains("size of blob "), "{field}: {error}");
        let error = of(field, limit + 1);
        assert!(
            error.ends_with(&format!("is too large: the limit is {limit} bytes")),
            "{field}: {error}"
        );
    }
}

#[test]
fn an_error_is_read_and_repeated_up_to_its_limits() {
    let of = |message: String, size: usize| {
        let mut body = format!(r#"{{"errors":[{{"message":"{message}"}}]}}"#).into_bytes();
        body.resize(body.len().max(size), b' ');
        let double = manifests(move |_| {
            Some(Answer {
                status: 418,
                ..Answer::ok(body.clone())
            })
        });
        Puller::new().fails(&double)
    };
    assert!(of("no tea".into(), 64 << 10).ends_with(":latest: no tea"));
    // The object is whole, but not all of the answer was read: what came is still said.
    let long = of("x".repeat(64 << 10), 0);
    assert!(long.ends_with(":latest"), "{} characters", long.len());
    for (said, repeated) in [(200, 200), (201, 200)] {
        let error = of("ä".repeat(said), 0);
        let detail = error.rsplit(": ").next().unwrap();
        assert_eq!(detail, "ä".repeat(repeated));
    }
}

#[test]
fn five_redirects_are_followed() {
    for (redirects, is_taken) in [(5, true), (6, false)] {
        let count = AtomicUsize::new(0);
        let double = manifests(move |asked| {
            let more = count.fetch_add(1, Ordering::Relaxed) < redirects;
            more.then(|| Answer::status(307).with("Location", asked.path.clone()))
        });
        match is_taken {
            true => Puller::new().ok(&double),
            false => {
                let error = Puller::new().fails(&double);
                assert!(error.ends_with("it redirects more than 5 times"), "{error}");
            }
        }
        assert_eq!(double.asked("/manifests/").len(), 6);
    }
}

#[test]
fn blobs_over_eight_mebibytes_are_kept_aside() {
    let of = |size: usize| {
        let image = sized(size - 3 * 512);
        assert_eq!(image.layers[0].blob.len(), size);
        let layer = image.layers[0].clone();
        let double = Double::serve(&image, move |asked| {
            let is_layer = asked.path.contains(&layer.digest);
            is_layer.then(|| ranged(&layer.blob, asked).cut(1 << 20))
        });
        let puller = Puller::with(Patience {
            resumes_max: 0,
            ..patience()
        });
        puller.fails(&double);
        puller.kept()
    };
    assert_eq!(of(8 << 20), Vec::<u64>::new());
    assert_eq!(of((8 << 20) + 512), [1 << 20]);
}

#[test]
fn a_connection_that_does_not_come_up_is_given_up() {
    // Whom nobody accepts is let in until the queue is full; then the kernel is silent.
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(&listener, 0).unwrap();
    let address = getsockname(&listener).unwrap();
    let address = std::net::SocketAddr::try_from(address).unwrap();
    let mut queue = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queue.push(connection);
        assert!(queue.len() < 100, "the queue is never full");
    }
    let puller = Puller::with(Patience {
        connect: Duration::from_millis(500),
        silence: Duration::from_secs(60),
        ..patience()
    });
    let start = Instant::now();
    let error = puller
        .pull(&format!("docker://{address}/app"))
        .expect_err("nobody answers");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(
        chain(&error).ends_with(&format!(
            "cannot reach {address}: it did not answer in time"
        )),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_repository_that_stays_locked_is_given_up() {
    let puller = Puller::new();
    let left = puller.temp.path().join("left");
    let repo = Repo::init(&left, Mode::BareUser).unwrap();
    let lock = repo.lock(LockKind::Exclusive, &LockWait::QUIET).unwrap();
    let source = format!("ostree:app@{}", left.display());
    let error = puller.pull(&source).expect_err("it is locked");
    let text = chain(&error);
    assert!(text.contains(": cannot lock "), "{text}");
    drop(lock);
    let text = chain(&puller.pull(&source).expect_err("it is empty"));
    assert!(text.contains(": image app:latest not found in "), "{text}");
}

/// Pulls an archive that docker might have saved, with these entries before its own.
#[track_caller]
fn archive(home: &Home, before: Tar, error: Option<&str>) {
    let image = Image::of(Tar::new().file("a", "a"));
    let (path, saved) = (home.join("a.tar"), home.join("saved.tar"));
    image.write_docker_archive(&saved, &["app:1"]);
    let tar = before.raw(&std::fs::read(&saved).unwrap()).unfinished();
    std::fs::write(&path, tar).unwrap();
    let pull = home.berth(["pull", &format!("docker-archive:{}", path.display())]);
    match error {
        None => drop(pull.ok()),
        Some(text) => drop(pull.fails(1).one_error().err_has(text)),
    }
}

#[test]
fn an_archive_ends_at_its_limits() {
    let home = Home::new();
    let large = "is too large: the limit is 65536 entries, 4096 bytes of path";
    // config, layer and manifest.json are the last three
    let entries = |count: usize| {
        let add = |tar: Tar, number: usize| tar.file(&format!("f{number}"), "");
        (0..count - 3).fold(Tar::new(), add)
    };
    archive(&home, entries(1 << 16), None);
    archive(&home, entries((1 << 16) + 1), Some(large));
    // those that no image needs count as well
    let add = |tar: Tar, number: usize| tar.dir(&format!("d{number}"));
    let dirs = (0..(1 << 16) - 2).fold(Tar::new(), add);
    archive(&home, dirs, Some(large));
    // `1048064 comment=` and the end of the line, behind a block of header
    let comment = |size: usize| Tar::new().pax(&[("comment", "x".repeat(size - 512 - 17))]);
    archive(&home, comment(1 << 20), None);
    let head = "a.tar is malformed: the head of an entry is over 1048576 bytes";
    archive(&home, comment((1 << 20) + 1), Some(head));
    let path = |size: usize| {
        let name = "n/".repeat(size / 2) + &"x".repeat(size % 2);
        Tar::new().gnu_long(b'L', &name).file("n", "")
    };
    archive(&home, path(4096), None);
    archive(&home, path(4097), Some(large));
}

#[test]
fn eight_links_lead_to_a_file_of_an_archive() {
    let home = Home::new();
    for (links, is_taken) in [(8, true), (9, false)] {
        let image = Image::of(Tar::new().file("a", "a"));
        let config = image.config_bytes();
        let contents =
            serde_json::json!([{"Config": "c", "RepoTags": ["app:1"], "Layers": ["l0"]}]);
        let mut tar = Tar::new()
            .file("c", config)
            .file("manifest.json", contents.to_string())
            .file(&format!("l{links}"), &image.layers[0].tar);
        for number in 0..links {
            tar = tar.symlink(&format!("l{number}"), &format!("l{}", number + 1));
        }
        let path = home.write("links.tar", tar.finish());
        let pull = home.berth(["pull", &format!("docker-archive:{}", path.display())]);
        match is_taken {
            true => drop(pull.ok()),
            false => drop(pull.fails(1).one_error().err_has("l0 not found in archive")),
        }
    }
}

#[test]
fn files_that_the_user_names_end_at_their_limits() {
    let (home, double) = (Home::new(), Double::serve(&small(), |_| None));
    let write = |name: &str, text: &str, size: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(size, b' ');
        home.write(name, bytes).display().to_string()
    };
    for (flag, text, limit, at_limit) in [
        ("--authfile", r#"{"auths":{}}"#, 4 << 20, None),
        ("--ca", "", 16 << 20, Some("it holds no PEM certificate")),
    ] {
        let fits = write("fits", text, limit);
        let pull = home.berth(["pull", flag, &fits, &double.url()]);
        match at_limit {
            None => drop(pull.ok()),
            Some(error) => drop(pull.fails(1).one_error().err_has(error)),
        }
        let over = write("over", text, limit + 1);
        home.berth(["pull", flag, &over, &double.url()])
            .fails(1)
            .one_error()
            .err_has(&format!("is too large: the limit is {limit} bytes"));
    }
}

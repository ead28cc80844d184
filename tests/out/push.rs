//! `berth push`: what goes over the wire, and what does not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::uploads::{Answer, Uploads};
use super::{identity, inspected, manifest_digest, pushed, sample, stored};
use crate::needs;
use crate::support::Home;
use crate::support::image::Form;
use crate::support::registry::Registry;
use crate::support::user::Run;

/// The requests for one repository, without what differs each time.
fn requests(registry: &Registry, repo: &str) -> Vec<String> {
    let own = format!(" /v2/{repo}/");
    let asked = registry.requests().into_iter();
    asked
        .filter(|request| request.contains(&own))
        .map(|request| request.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_second_push_uploads_nothing() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let url = registry.url("app:1");
    let line = format!("{}/app:1@{}\n", registry.host(), manifest_digest(&image));
    let ran = home.berth(["push", "app", &url]).ok();
    assert_eq!(ran.stdout, line);
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    let first = requests(&registry, "app");
    let count = |method: &str| first.iter().filter(|it| *it == method).count();
    assert_eq!((count("POST"), count("PATCH"), count("PUT")), (3, 1, 4));

    assert_eq!(home.berth(["push", "-q", "app", &url]).ok().stdout, line);
    assert_eq!(requests(&registry, "app")[first.len()..], ["HEAD"]);
    // under another tag only the manifest is new
    home.berth(["push", "-q", "app", &registry.url("app:2")])
        .ok();
    assert_eq!(
        requests(&registry, "app")[first.len() + 1..],
        ["HEAD", "HEAD", "HEAD", "HEAD", "PUT"]
    );
}

#[test]
fn blobs_of_another_repository_are_taken_over() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &["--keep-blobs"]);
    home.berth(["push", "-q", "app", &registry.url("first/app:1")])
        .ok();
    home.berth(["rmi", "app"]).ok();
    // now its name says where its blobs are, and nothing of them is kept
    home.berth(["pull", "-q", &registry.url("first/app:1")])
        .ok();
    let name = format!("{}/first/app:1", registry.host());
    let ran = home
        .berth(["push", &name, &registry.url("second/app:1")])
        .ok();
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    assert_eq!(
        pushed(&registry, "second/app", "1").0,
        manifest_digest(&image)
    );
    let mounts = registry.requests();
    let mounts = mounts
        .iter()
        .filter(|it| it.starts_with("POST /v2/second/app/"));
    let mounts: Vec<&String> = mounts.collect();
    assert_eq!(mounts.len(), 3);
    for mount in mounts {
        assert!(mount.contains("from=first%2Fapp"), "{mount}");
        assert!(mount.ends_with(" 201"), "{mount}");
    }
    // a copy from repository to repository sends no blob either
    let (from, to) = (registry.url("first/app:1"), registry.url("third/app:1"));
    home.berth(["copy", "-q", &from, &to]).ok();
    assert_eq!(
        pushed(&registry, "third/app", "1").0,
        manifest_digest(&image)
    );
    let uploads = requests(&registry, "third/app");
    assert!(!uploads.contains(&"PATCH".to_owned()), "{uploads:?}");
}

#[test]
fn layers_that_are_compressed_anew_are_said() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &[]);
    let ran = home.berth(["push", "app", &registry.url("app:1")]).ok();
    let (digest, manifest) = pushed(&registry, "app", "1");
    assert_ne!(digest, manifest_digest(&image));
    assert_eq!(ran.stdout, format!("{}/app:1@{digest}\n", registry.host()));
    ran.err_has(&format!(
        "note: 2 of 2 layers are compressed anew; the manifest is now {digest} \
         (config and diff ids are the same; pull with --keep-blobs to keep them)\n"
    ));
    assert_eq!(manifest["config"], image.manifest()["config"]);

    // what was compressed here once comes out the same again, also elsewhere
    let other = Home::new();
    other.berth(["pull", "-q", &registry.url("app:1")]).ok();
    let name = format!("{}/app:1", registry.host());
    assert_eq!(
        identity(&inspected(&other, &name)),
        identity(&inspected(&home, "app"))
    );
    let ran = other.berth(["push", &name, "dir:out"]).ok();
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    assert_eq!(ran.stdout, format!("dir:out@{digest}\n"));
}

/// Passes bytes on to the registry, and ends the first `cuts` connections that carry more than `after` of them.
fn cutting(registry: &Registry, after: usize, cuts: usize) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (target, left) = (registry.host(), Arc::new(AtomicUsize::new(cuts)));
    thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let (to, left) = (TcpStream::connect(&target).unwrap(), Arc::clone(&left));
            let (mut back_from, mut back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut back_from, &mut back_to);
                let _ = back_to.shutdown(std::net::Shutdown::Both);
            });
            thread::spawn(move || pass(from, to, after, &left));
        }
    });
    host
}

fn pass(mut from: TcpStream, mut to: TcpStream, after: usize, left: &AtomicUsize) {
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0);
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
    {
        passed += count;
        let enough = |cuts: usize| (passed > after && cuts > 0).then(|| cuts - 1);
        let cut = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enough);
        if cut.is_ok() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_push_that_is_cut_goes_on() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let host = cutting(&registry, 1 << 20, 2);
    let ran = home
        .berth(["push", "app", &format!("docker://{host}/app:1")])
        .ok();
    let large = &image.layers[1].digest;
    assert_eq!(
        ran.stderr
            .matches(&format!("warning: trying blob {large} again: "))
            .count(),
        2,
        "{}",
        ran.stderr
    );
    assert_eq!(pushed(&registry, "app", "1").0, manifest_digest(&image));
    // and all of it is there
    let other = Home::new();
    other.berth(["pull", "-q", &registry.url("app:1")]).ok();
}

#[test]
fn a_push_that_ended_halfway_works_the_next_time() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let host = cutting(&registry, 1 << 20, usize::MAX);
    let ran = home
        .berth(["push", "app", &format!("docker://{host}/app:1")])
        .fails(1)
        .one_error();
    ran.err_has(&format!(
        "error: cannot push app to docker://{host}/app:1: cannot reach {host}: "
    ));
    let found = registry.curl("/v2/_catalog", &[]);
    assert!(
        !found.contains("\"app\"") || {
            let tags = home
                .sh(&format!(
                    "curl -s http://{}/v2/app/tags/list",
                    registry.host()
                ))
                .ok();
            !tags.stdout.contains("\"1\"")
        }
    );
    home.berth(["push", "-q", "app", &registry.url("app:1")])
        .ok();
    assert_eq!(pushed(&registry, "app", "1").0, manifest_digest(&image));
}

#[test]
fn an_upload_is_taken_up_where_the_registry_has_it() {
    let home = Home::new();
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let large = image.layers[1].blob.clone();
    let had = 1_500_000;
    let registry = Uploads::serve(move |asked, tries| match (asked.method.as_str(), tries) {
        // the first one breaks when so much has come
        ("PATCH", 1) => Some(Answer::Break { after: had }),
        _ => None,
    });
    let url = format!("docker://{}/app:1", registry.host());
    home.berth(["push", "--jobs=1", "app", &url]).ok();
    let patches = registry.asked("PATCH");
    assert_eq!(patches.len(), 2);
    assert_eq!(patches[0].header("content-range"), None);
    let rest = format!("{had}-{}", large.len() - 1);
    assert_eq!(patches[1].header("content-range"), Some(rest.as_str()));
    assert_eq!(patches[1].body, large[had..], "only the rest is sent again");
    assert!(registry.has_blob(&image.layers[1].digest));
    assert!(registry.has_manifest("1"));
}

#[test]
fn a_registry_that_says_nonsense_of_an_upload_gets_all_of_it_again() {
    let home = Home::new();
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let registry = Uploads::serve(move |asked, tries| match asked.method.as_str() {
        "PATCH" if tries == 1 => Some(Answer::Break { after: 1000 }),
        "GET" if asked.path.contains("/uploads/") => {
            let location = ("Location".to_owned(), asked.path.clone());
            let range = ("Range".to_owned(), format!("0-{}", u64::MAX));
            Some(Answer::Status(204, vec![location, range]))
        }
        _ => None,
    });
    let url = format!("docker://{}/app:1", registry.host());
    home.berth(["push", "--jobs=1", "app", &url]).ok();
    let patches = registry.asked("PATCH");
    assert_eq!(patches.len(), 2);
    assert_eq!(patches[1].header("content-range"), None);
    assert_eq!(patches[1].body, image.layers[1].blob);
    assert!(registry.has_manifest("1"));
}

#[test]
fn credentials_do_not_follow_an_upload_to_another_host() {
    let home = Home::new();
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let elsewhere = Uploads::serve(|_, _| None);
    let host = elsewhere.host();
    let registry = Uploads::serve(move |asked, _| match asked.method.as_str() {
        _ if asked.header("authorization").is_none() => Some(Answer::Status(
            401,
            vec![("WWW-Authenticate".into(), "Basic realm=x".into())],
        )),
        "POST" => Some(Answer::Status(
            202,
            vec![(
                "Location".into(),
                format!("http://{host}/v2/app/blobs/uploads/s?x=1"),
            )],
        )),
        _ => None,
    });
    push_as_me(&home, &registry).ok();
    let there = elsewhere.asked("");
    assert!(there.iter().any(|it| it.method == "PATCH"));
    for asked in &there {
        assert_eq!(asked.header("authorization"), None, "{}", asked.path);
        assert!(
            asked.path.starts_with("/v2/app/blobs/uploads/s?"),
            "{}",
            asked.path
        );
        assert!(
            asked.method != "PATCH" || asked.path.contains("x=1"),
            "{}",
            asked.path
        );
    }
    let manifests = registry.asked("PUT");
    assert!(
        manifests
            .iter()
            .all(|it| it.header("authorization").is_some())
    );
    assert!(registry.has_manifest("1"));
}

/// Pushes `app` with credentials.
fn push_as_me(home: &Home, registry: &Uploads) -> Run {
    let url = format!("docker://{}/app:1", registry.host());
    let me = ["--creds", "me:secret"];
    home.berth(["push", "-q", "--jobs=1", me[0], me[1], "app", &url])
}

#[test]
fn another_host_cannot_ask_for_credentials() {
    let home = Home::new();
    stored(&home, "app", &sample(Form::Plain), &[]);
    let own = Arc::new(Mutex::new(String::new()));
    let realm = Arc::clone(&own);
    let elsewhere = Uploads::serve(move |asked, _| {
        let ask = format!(
            "Bearer realm=\"http://{}/token\",service=x",
            realm.lock().unwrap()
        );
        let headers = vec![("WWW-Authenticate".to_owned(), ask)];
        (asked.method == "PUT").then_some(Answer::Status(401, headers))
    });
    *own.lock().unwrap() = elsewhere.host();
    let host = elsewhere.host();
    let registry = Uploads::serve(move |asked, _| {
        let to = format!("http://{host}/v2/app/blobs/uploads/s?x=1");
        let headers = vec![("Location".to_owned(), to)];
        (asked.method == "POST").then_some(Answer::Status(202, headers))
    });
    push_as_me(&home, &registry)
        .fails(1)
        .one_error()
        .err_has(&format!("{} refuses access to app", elsewhere.host()));
    let there = elsewhere.asked("");
    assert!(there.iter().all(|it| it.method == "PUT"), "{there:?}");
    assert!(there.iter().all(|it| it.header("authorization").is_none()));
}

#[test]
fn an_upload_follows_a_redirect_with_its_body() {
    let home = Home::new();
    let image = sample(Form::Plain);
    stored(&home, "app", &image, &[]);
    let seen = Arc::new(Mutex::new(0));
    let registry = Uploads::serve(move |asked, tries| match (asked.method.as_str(), tries) {
        ("PATCH", 1) => {
            *seen.lock().unwrap() += 1;
            // relative, as some registries say it
            let to = format!("{}&moved=1", asked.path);
            Some(Answer::Status(307, vec![("Location".into(), to)]))
        }
        _ => None,
    });
    let url = format!("docker://{}/app:1", registry.host());
    home.berth(["push", "-q", "--jobs=1", "app", &url]).ok();
    let patches = registry.asked("PATCH");
    assert!(patches[1].path.ends_with("&moved=1"), "{}", patches[1].path);
    assert_eq!(patches[1].body, image.layers[1].blob);
}

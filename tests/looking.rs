//! A look at images where they are: what `inspect` and `tags` say, beside skopeo.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::needs;
use crate::pull::double::{Answer, Asked, Double};
use crate::pull::no_image;
use crate::support::image::{Image, Tar};
use crate::support::registry::Registry;
use crate::support::{Home, digest, images};

fn skopeo(home: &Home, args: &[&str]) -> Value {
    home.program("skopeo")
        .env("REGISTRY_AUTH_FILE", home.write("auth.json", "{}"))
        .args(args)
        .ok()
        .json()
}

/// What berth says in the words of skopeo.
fn in_skopeos_words(ours: &Value) -> Value {
    let layers = ours["layers"].as_array().unwrap();
    let of = |key: &str| -> Vec<Value> { layers.iter().map(|it| it[key].clone()).collect() };
    let name = ours["name"].as_str().unwrap();
    json!({
        "Name": name.rsplit_once(':').unwrap().0,
        "Digest": ours["digest"],
        "RepoTags": ours["tags"],
        "Created": ours["created"],
        "DockerVersion": ours["docker_version"].as_str().unwrap_or_default(),
        "Labels": ours["labels"],
        "Architecture": ours["architecture"],
        "Os": ours["os"],
        "Layers": of("digest"),
        "Env": ours["env"],
    })
}

#[test]
fn inspect_says_what_skopeo_says() {
    needs!(Images, Registry, Skopeo);
    let (home, registry) = (Home::new(), Registry::start());
    for (image, name) in [
        ("redis", "redis:latest"),
        ("redis-next", "redis:next"),
        ("redis-v2s2", "old:1"),
    ] {
        registry.push(&images::get(image), name);
    }
    for name in ["redis", "redis:next", "old:1"] {
        let url = registry.url(name);
        let mut theirs = skopeo(&home, &["inspect", "--tls-verify=false", &url]);
        if theirs["Labels"].is_null() {
            theirs["Labels"] = json!({});
        }
        let ours = home.berth(["inspect", &url]).ok().json();
        assert_eq!(in_skopeos_words(&ours), theirs, "{name}");
        for (flag, theirs) in [
            ("--raw", &["--raw"][..]),
            ("--config", &["--config", "--raw"]),
        ] {
            let raw = home
                .program("skopeo")
                .env("REGISTRY_AUTH_FILE", home.join("auth.json"))
                .args(["inspect", "--tls-verify=false"])
                .args(theirs)
                .args([&url])
                .ok();
            assert_eq!(
                home.berth(["inspect", flag, &url]).ok().stdout,
                raw.stdout,
                "{flag} {name}"
            );
        }
    }
    // Nothing came.
    no_image(&home);

    // The same image here says the same, but for the tags: those are the names that it has here.
    let url = registry.url("redis");
    let there = home.berth(["inspect", &url]).ok().json();
    home.berth(["pull", "-q", &url]).ok();
    let name = format!("{}/redis:latest", registry.host());
    home.berth(["tag", &name, "mine:1"]).ok();
    let mut here = home.berth(["inspect", "mine:1"]).ok().json();
    assert_eq!(here["tags"], json!([name, "docker.io/library/mine:1"]));
    here["tags"] = there["tags"].clone();
    here["name"] = there["name"].clone();
    assert_eq!(here, there);
}

#[test]
fn tags_are_those_that_skopeo_lists() {
    needs!(Images, Registry, Skopeo);
    let (home, registry) = (Home::new(), Registry::start());
    let busybox = images::get("busybox");
    let names: Vec<String> = (0..25).map(|n| format!("v{n}")).collect();
    for name in &names {
        registry.push(&busybox, &format!("many:{name}"));
    }
    let url = registry.url("many");
    let theirs = skopeo(&home, &["list-tags", "--tls-verify=false", &url]);
    let theirs: Vec<&str> = theirs["Tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let ours = home.berth(["tags", &url]).ok();
    assert_eq!(ours.text().lines().collect::<Vec<_>>(), theirs);
    assert_eq!(theirs.len(), names.len());
    let json = home.berth(["tags", "--json", &url]).ok().json();
    assert_eq!(
        json,
        json!({"repository": format!("{}/many", registry.host()), "tags": theirs})
    );
    home.berth(["tags", &registry.url("absent")])
        .fails(1)
        .one_error()
        .err_has(&format!(
            "error: cannot list the tags of docker://{}/absent: ",
            registry.host()
        ));
}

#[test]
fn a_repository_is_named_alone() {
    let home = Home::new();
    home.berth(["tags", "docker://h.x/a:1"])
        .fails(2)
        .one_error()
        .err_has("error: cannot list the tags of docker://h.x/a:1: name the repository alone\n")
        .err_has("hint: berth tags docker://h.x/a\n");
    home.berth(["tags", "oci:x"])
        .fails(2)
        .one_error()
        .err_has("error: cannot list the tags of oci:x: only registries have tags\n");
}

/// A registry with 2,500 tags, in pages of which each is led to by a link that `link` writes.
fn paged(link: fn(&str) -> String) -> Double {
    let image = Image::of(Tar::new().file("a", "a"));
    Double::serve(&image, move |asked: &Asked| {
        let query = asked.path.strip_prefix("/v2/app/tags/list?")?;
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let count: usize = value("n").unwrap().parse().unwrap();
        let start = value("last").map_or(0, |last| last[1..].parse::<usize>().unwrap() + 1);
        let tags: Vec<String> = (start..2500.min(start + count))
            .map(|n| format!("t{n:04}"))
            .collect();
        let body = json!({"name": "app", "tags": tags}).to_string();
        let last = tags.last().unwrap();
        Some(match start + count < 2500 {
            true => Answer::ok(body).with(
                "Link",
                link(&format!("/v2/app/tags/list?last={last}&n={count}")),
            ),
            false => Answer::ok(body),
        })
    })
}

#[test]
fn pages_follow_each_other() {
    let home = Home::new();
    let registry = paged(|path| format!("<{path}>; rel=\"next\""));
    let tags = home.berth(["tags", &registry.url()]).ok();
    let expected: Vec<String> = (0..2500).map(|n| format!("t{n:04}")).collect();
    assert_eq!(tags.text().lines().collect::<Vec<_>>(), expected);
    assert_eq!(registry.asked("/tags/list").len(), 3);

    // A link to somebody else leads nowhere but to the next page here.
    let registry = paged(|path| format!("<http://127.0.0.1:1{path}>; rel=\"next\""));
    let tags = home.berth(["tags", &registry.url()]).ok();
    assert_eq!(tags.text().lines().count(), 2500);
}

#[test]
fn pages_without_end_end() {
    let home = Home::new();
    let image = Image::of(Tar::new().file("a", "a"));
    let number = AtomicUsize::new(0);
    let registry = Double::serve(&image, move |asked| {
        asked.path.contains("/tags/list").then(|| {
            let at = number.fetch_add(1, Ordering::Relaxed);
            let tags: Vec<String> = (0..20_000).map(|n| format!("t{at}-{n}")).collect();
            Answer::ok(json!({"tags": tags}).to_string())
                .with("Link", format!("</v2/app/tags/list?last={at}>; rel=next"))
        })
    });
    home.berth(["tags", &registry.url()])
        .fails(1)
        .one_error()
        .err_has(": tags of app is too large: the limit is 262144 tags\n");
    assert_eq!(registry.asked("/tags/list").len(), 14);

    for (tags, link, why) in [
        (json!(["a"]), "n=1000", "a page of its tags leads to itself"),
        (
            json!([]),
            "last=a",
            "a page of its tags is empty, and not the last",
        ),
    ] {
        let registry = Double::serve(&image, move |asked| {
            asked.path.contains("/tags/list").then(|| {
                Answer::ok(json!({"tags": tags}).to_string())
                    .with("Link", format!("</v2/app/tags/list?{link}>; rel=next"))
            })
        });
        home.berth(["tags", &registry.url()])
            .fails(1)
            .one_error()
            .err_has(&format!(
                " answered in a way that cannot be followed: {why}\n"
            ));
    }
    let registry = Double::serve(&image, |asked| {
        asked
            .path
            .contains("/tags/list")
            .then(|| Answer::ok(" ".repeat((4 << 20) + 1)))
    });
    home.berth(["tags", &registry.url()])
        .fails(1)
        .one_error()
        .err_has("tags of app is too large: the limit is 4194304 bytes\n");
}

#[test]
fn a_tag_ends_at_128_bytes() {
    let home = Home::new();
    for (size, is_taken) in [(128, true), (129, false)] {
        let image = Image::of(Tar::new().file("a", "a"));
        let tag = "t".repeat(size);
        let body = json!({"tags": ["a", tag]}).to_string();
        let registry = Double::serve(&image, move |asked| {
            let is_list = asked.path.contains("/tags/list");
            is_list.then(|| Answer::ok(body.clone()))
        });
        let list = home.berth(["tags", &registry.url()]);
        match is_taken {
            true => drop(list.ok().out_has(&tag)),
            false => drop(
                list.fails(1)
                    .one_error()
                    .err_has(" cannot be followed: a tag is over 128 bytes\n"),
            ),
        }
    }
}

/// Who may not list a repository may still look at its image.
#[test]
fn inspect_does_without_tags() {
    let home = Home::new();
    let image = Image::of(Tar::new().file("a", "a"));
    let registry = Double::serve(&image, |asked| {
        asked
            .path
            .contains("/tags/list")
            .then(|| Answer::status(403))
    });
    let ran = home.berth(["inspect", &registry.url()]).ok();
    let ran = ran.err_has("warning: cannot list the tags of docker://");
    let shown = ran.json();
    assert_eq!(shown["tags"], json!([]));
    assert_eq!(
        shown["digest"],
        digest(&serde_json::to_vec(&image.manifest()).unwrap())
    );
    let asked = registry.asked("/tags/list").len();
    home.berth(["inspect", "--no-tags", &registry.url()]).ok();
    assert_eq!(registry.asked("/tags/list").len(), asked);
}

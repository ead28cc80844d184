//! `repo refs` and how revisions are spelled: stock ostree is right.

use crate::needs;
use crate::support::Home;
use crate::support::ostree::{Ostree, beside_stock};

/// Two repositories alike, both made by stock: with branches, a history and refs of a remote.
fn world() -> Home {
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    for round in 0..3 {
        home.sh(&format!("mkdir -p d && echo {round} >d/f")).ok();
        ostree.commit_dir("test/a", &home.join("d"));
    }
    for branch in ["lone", "x/y/z", "x/y2", "only/there"] {
        ostree.commit_dir(branch, &home.join("d"));
    }
    home.sh("ostree --repo=source init --mode=bare-user && ostree --repo=source pull-local stock test/a only/there \
             && ostree --repo=stock refs --delete only/there \
             && ostree --repo=stock remote add --no-gpg-verify origin http://nowhere.invalid/ \
             && ostree --repo=stock pull-local --remote=origin source test/a only/there \
             && cp -a stock ours")
        .ok();
    home
}

/// Runs both with the same words, each on its repository; they agree on success. Gives what ours printed, and stock's.
fn both(home: &Home, words: &str) -> (String, String) {
    let (ours, stock) = beside_stock(home, "ours", words);
    if !stock.status.success() {
        ours.one_error();
        return Default::default();
    }
    (ours.stdout, stock.stdout)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// All refs with what they hold, and aliases with where they lead.
fn state(home: &Home, repo: &str) -> String {
    let look = "find refs -not -type d -printf '%y %l %P ' \\( -type l -printf '\\n' -o -exec cat {} + \\) | sort";
    home.sh(look).dir(home.join(repo)).ok().stdout
}

#[test]
fn refs_are_listed_made_and_deleted_as_stock_ostree_does() {
    needs!(Ostree);
    let home = world();
    for words in [
        "refs",
        "refs x",
        "refs x/y",
        "refs x/y/z",
        "refs --list x",
        "refs --list",
        "refs lone",
        "refs origin:",
        "refs origin:test/a",
        "refs nowhere",
        "refs x/..",
        "refs --create=new/one test/a",
        "refs --create=new/one test/a",
        "refs --create=new test/a",
        "refs --create=test/a/below test/a",
        "refs --create=n2 nowhere",
        "refs --create=n2 test/a^",
        "refs --create=n2",
        "refs --create=n2 test/a lone",
        "refs --create=n2 lone",
        "refs --force --create=n2 lone",
        "refs --create=other:b origin:only/there",
        "refs --create='bad name' test/a",
        "refs --alias --create=al test/a",
        "refs --alias --create=q/al x/y/z",
        "refs --alias --create=al lone",
        "refs --alias --create=lone test/a",
        "refs --alias --create=dangling nowhere",
        "refs --alias --create=al2 al",
        "refs --create=al test/a",
        "refs -A",
        "refs -A q",
        "refs --alias",
        "refs",
        "rev-parse al2",
        "rev-parse q/al",
        "refs --delete",
        "refs --delete nowhere",
        "refs --delete x",
        "refs --delete lone",
        "refs --delete al",
        "refs --delete -A q",
        "refs --delete al2",
        "refs --delete x/y",
        "refs --delete origin:test/a",
        "refs --delete al lone",
        "refs",
    ] {
        let (ours, stock) = both(&home, words);
        assert_eq!(sorted(&ours), sorted(&stock), "{words}");
        assert_eq!(
            refs_of(&home, "ours"),
            refs_of(&home, "stock"),
            "after {words}"
        );
    }
    home.sh("ostree --repo=ours fsck -q").ok();
}

/// The state of a repository, aliases by what they mean: `../x/a` and `a` may be one.
fn refs_of(home: &Home, repo: &str) -> (String, String) {
    let aliases = home
        .sh(&format!("ostree --repo={repo} refs -A | sort"))
        .ok();
    let files = state(home, repo)
        .lines()
        .filter(|line| !line.starts_with('l'))
        .map(|line| format!("{line}\n"))
        .collect();
    (files, aliases.stdout)
}

#[test]
fn revisions_are_spelled_as_stock_ostree_does() {
    needs!(Ostree);
    let home = world();
    let tip = home.sh("ostree --repo=stock rev-parse test/a").ok();
    let short = &tip.text()[..12];
    for revision in [
        "test/a",
        "test/a^",
        "test/a^^",
        "test/a^^^",
        "origin:test/a",
        "origin:test/a^",
        "only/there",
        "origin:lone",
        "nowhere:test/a",
        ":test/a",
        short,
        "abcdef123456",
        "heads/test/a",
    ] {
        for verb in ["rev-parse", "log", "show", "ls -RC", "cat"] {
            let path = if verb == "cat" { "/f" } else { "" };
            let (ours, stock) = both(&home, &format!("{verb} '{revision}' {path}"));
            assert_eq!(ours, stock, "{verb} {revision}");
        }
        let (out, _) = both(
            &home,
            &format!("checkout -U '{revision}' out-$(basename \"$(mktemp -u)\")"),
        );
        assert!(out.is_empty() || out.contains(" linked"), "{out}");
    }
    home.berth(["--repo", "ours", "repo", "rev-parse", "test/a^^^"])
        .fails(1)
        .one_error()
        .err_has("parent of commit ");
}

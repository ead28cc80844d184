//! `repo log`, `show`, `ls` and `prune` take stock ostree's options and print what it prints.

use crate::needs;
use crate::support::Home;
use crate::support::ostree::{Ostree, beside_stock};

#[test]
fn log_show_ls_and_prune_read_as_stock_ostrees() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    home.sh("mkdir -p d/same && echo s >d/same/s && ln -s s d/l && : >d/z && setfattr -n user.note -v hello d/same")
        .ok();
    ostree.commit_dir("main", &home.join("d"));
    home.sh("echo 2 >d/zz && ostree --repo=stock commit -b main --add-metadata-string=version=1.2 \
             --add-metadata='n=uint64 5' --add-metadata=\"l=['a']\" --add-metadata='b=true' \
             --add-detached-metadata-string=sig=abc -s subject -m 'the body' d \
             && ostree --repo=stock commit -b lone -s '' d && ostree --repo=stock refs --delete lone")
        .ok();
    let find = |column: usize, path: &str| {
        let script =
            format!("ostree --repo=stock ls -d -C main {path} | awk '{{print ${column}}}'");
        home.sh(&script).ok().text().to_owned()
    };
    let (tree, meta) = (find(5, "/"), find(6, "/"));
    let (file, link) = (find(5, "/zz"), find(5, "/l"));
    for words in [
        "log main",
        "log --raw main",
        "show main",
        "show --raw main",
        "show --raw main^",
        "show --print-metadata-key=version main",
        "show --print-metadata-key=n main",
        "show -B --print-metadata-key=n main",
        "show --print-metadata-key=l main",
        "show --print-metadata-key=none main",
        "show --print-detached-metadata-key=sig main",
        "show --print-detached-metadata-key=none main",
        "show --print-detached-metadata-key=sig main^",
        &format!("show {tree}"),
        &format!("show {meta}"),
        &format!("show {file}"),
        &format!("show {link}"),
        &format!("show {}", "0".repeat(64)),
        "ls main",
        "ls main /zz",
        "ls main same /l",
        "ls -d main /same",
        "ls -R -C -X main",
        "ls -d -X main /same /zz",
        "ls -RX main /same",
        "ls --nul-filenames-only main",
        "ls --nul-filenames-only -R main",
        "ls main /none",
        "prune --no-prune",
        "prune --no-prune --refs-only",
        "prune --no-prune --refs-only --depth=0",
    ] {
        let (ours, stock) = beside_stock(&home, "stock", words);
        if stock.status.success() {
            assert_eq!(ours.stdout, stock.stdout, "{words}");
        } else {
            ours.one_error();
        }
    }
    // What each deletes is what the other would have deleted.
    home.sh("cp -a stock ours").ok();
    for words in ["prune --refs-only", "prune --refs-only --depth=0", "prune"] {
        let ours = home
            .sh(&format!("\"$BERTH\" --repo=ours repo {words}"))
            .ok();
        let stock = home.sh(&format!("ostree --repo=stock {words}")).ok();
        assert_eq!(ours.stdout, stock.stdout, "{words}");
        home.sh("for r in ours stock; do (cd $r && find objects -type f | sort) >$r.list; done; diff ours.list stock.list")
            .ok();
    }
}

//! Stock ostree, the outside judge: every answer here is its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::user::{Home, Ran, Run};

/// The `ostree` command on one repository, run as the home's user.
#[derive(Debug)]
pub struct Ostree<'a> {
    home: &'a Home,
    repo: PathBuf,
}

impl<'a> Ostree<'a> {
    /// On the repository that berth wrote.
    pub fn of(home: &'a Home) -> Self {
        Self {
            home,
            repo: home.repo(),
        }
    }

    /// On a repository of that name beside ROOT.
    pub fn at(home: &'a Home, name: &str) -> Self {
        Self {
            home,
            repo: home.join(name),
        }
    }

    /// On a new `bare-user` repository that berth has never seen.
    pub fn init(home: &'a Home, name: &str) -> Self {
        Self::init_mode(home, name, "bare-user")
    }

    /// On a new repository of that mode that berth has never seen.
    pub fn init_mode(home: &'a Home, name: &str, mode: &str) -> Self {
        let this = Self {
            home,
            repo: home.join(name),
        };
        this.command(["init", &format!("--mode={mode}")]).ok();
        this
    }

    pub fn repo(&self) -> &Path {
        &self.repo
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let repo = format!("--repo={}", self.repo.display());
        let mut args = args.into_iter();
        let verb = args.next().expect("a verb");
        self.home
            .program("ostree")
            .args([verb.as_ref(), repo.as_ref()])
            .args(args)
    }

    #[track_caller]
    fn text<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.command(args).ok().stdout
    }

    /// Every object is what its name says.
    #[track_caller]
    pub fn fsck(&self) -> Ran {
        self.command(["fsck", "--quiet"]).ok()
    }

    /// All refs, sorted.
    #[track_caller]
    pub fn refs(&self) -> Vec<String> {
        let mut refs: Vec<String> = self.text(["refs"]).lines().map(str::to_owned).collect();
        refs.sort();
        refs
    }

    #[track_caller]
    pub fn rev_parse(&self, name: &str) -> String {
        self.text(["rev-parse", name]).trim().to_owned()
    }

    /// `ls -R -X -C`: everything below `path`, with owners, modes, checksums and xattrs.
    #[track_caller]
    pub fn ls(&self, name: &str, path: &str) -> String {
        self.text(["ls", "-R", "-X", "-C", name, path])
    }

    #[track_caller]
    pub fn cat(&self, name: &str, path: &str) -> String {
        self.text(["cat", name, path])
    }

    #[track_caller]
    pub fn log(&self, name: &str) -> String {
        self.text(["log", name])
    }

    #[track_caller]
    pub fn show(&self, name: &str) -> String {
        self.text(["show", name])
    }

    /// One value of a commit's metadata, as GVariant text.
    #[track_caller]
    pub fn metadata(&self, name: &str, key: &str) -> String {
        self.text(["show", &format!("--print-metadata-key={key}"), name])
    }

    /// `checkout -U -H`: hard links to the objects.
    #[track_caller]
    pub fn checkout(&self, name: &str, target: &Path) {
        self.command([
            "checkout".as_ref(),
            "-U".as_ref(),
            "-H".as_ref(),
            name.as_ref(),
            target.as_os_str(),
        ])
        .ok();
    }

    /// `commit --tree=tar=FILE`: what stock ostree makes of a layer. Returns the commit's id.
    #[track_caller]
    pub fn commit_tar(&self, branch: &str, tar: &Path) -> String {
        let tree = format!("--tree=tar={}", tar.display());
        let args = ["commit", "--tar-autocreate-parents", "-b", branch, &tree];
        self.text(args).trim().to_owned()
    }

    /// `commit --tree=dir=DIR` with the owners of root.
    #[track_caller]
    pub fn commit_dir(&self, branch: &str, dir: &Path) -> String {
        let tree = format!("--tree=dir={}", dir.display());
        let args = [
            "commit",
            "--owner-uid=0",
            "--owner-gid=0",
            "-b",
            branch,
            &tree,
        ];
        self.text(args).trim().to_owned()
    }
}

/// The same words to `berth repo` on the repository `ours` of a home, and to stock on `stock`: both work, or neither does.
#[track_caller]
pub fn beside_stock(home: &Home, ours: &str, words: &str) -> (Ran, Ran) {
    let ours = home
        .sh(&format!("\"$BERTH\" --repo={ours} repo {words}"))
        .run();
    let stock = home.sh(&format!("ostree --repo=stock {words}")).run();
    assert_eq!(
        ours.status.success(),
        stock.status.success(),
        "{words}\n{}{}",
        ours.stderr,
        stock.stderr
    );
    (ours, stock)
}

//! The stacks of layers that the judges see.

use crate::support::image::Tar;

/// Whom berth follows.
#[derive(Clone, Copy)]
pub enum Judge {
    /// They agree.
    Both,
    /// podman; why umoci differs.
    Podman(&'static str),
    /// umoci; why podman differs.
    Umoci(&'static str),
}

/// The spec's words are that whiteouts hide only what lower layers have, in whatever order they come.
const COMES_LATE: &str = "podman refuses a whiteout behind an entry of that name";
const COMES_BACK: &str = "podman forgets a whiteout when a directory of that name follows";
/// `/lib -> usr/lib` stays what the base made it.
const BEHIND_LINK: &str = "podman puts a directory where the lower layer has a link";
const LINK_DOWN: &str = "podman refuses hard links into lower layers";

impl Judge {
    pub fn words(self) -> String {
        match self {
            Self::Both => "the judges agree".into(),
            Self::Podman(why) => format!("podman is right: {why}"),
            Self::Umoci(why) => format!("umoci is right: {why}"),
        }
    }
}

pub struct Case {
    pub name: &'static str,
    pub layers: Vec<Tar>,
    pub judge: Judge,
    /// Directories that no layer, or not the last that has them, names: everybody makes up a mode of his own.
    pub implicit: &'static [&'static str],
}

fn case(name: &'static str, layers: impl Into<Vec<Tar>>) -> Case {
    Case {
        name,
        layers: layers.into(),
        judge: Judge::Both,
        implicit: &[],
    }
}

impl Case {
    fn follows(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    fn implicit(self, implicit: &'static [&'static str]) -> Self {
        Self { implicit, ..self }
    }
}

fn tar() -> Tar {
    Tar::new()
}

/// A directory with two files and a directory.
fn base() -> Tar {
    tar()
        .dir("d")
        .file("d/one", "1")
        .file("d/two", "2")
        .dir("d/sub")
        .file("d/sub/in", "in")
        .file("top", "top")
}

pub fn all() -> Vec<Case> {
    let mut cases = whiteouts();
    cases.extend(opaques());
    cases.extend(kinds());
    cases.extend(parents());
    cases.extend(hard_links());
    cases
}

fn whiteouts() -> Vec<Case> {
    vec![
        case("whiteout-file", [base(), tar().dir("d").whiteout("d/one")]),
        case("whiteout-directory", [base(), tar().whiteout("d")]),
        case(
            "whiteout-inner-directory",
            [base(), tar().dir("d").whiteout("d/sub")],
        ),
        case(
            "whiteout-nothing",
            [base(), tar().dir("d").whiteout("d/none").whiteout("none")],
        ),
        case("whiteout-in-nowhere", [base(), tar().whiteout("no/where")])
            .follows(Judge::Podman(
                "umoci makes no directory for a whiteout alone",
            ))
            .implicit(&["no"]),
        case(
            "whiteout-then-again",
            [
                base(),
                tar().dir("d").whiteout("d/one").file("d/one", "new"),
            ],
        ),
        case(
            "again-then-whiteout",
            [
                base(),
                tar().dir("d").file("d/one", "new").whiteout("d/one"),
            ],
        )
        .follows(Judge::Umoci(COMES_LATE)),
        case(
            "whiteout-directory-then-again",
            [base(), tar().whiteout("d").dir("d").file("d/new", "new")],
        )
        .follows(Judge::Umoci(COMES_BACK)),
        case(
            "directory-again-then-whiteout",
            [base(), tar().dir("d").file("d/new", "new").whiteout("d")],
        )
        .follows(Judge::Umoci(COMES_LATE)),
        case(
            "whiteout-then-back",
            [
                base(),
                tar().whiteout("d"),
                tar().dir_with("d", 0o700, 0, 0).file("d/new", "new"),
            ],
        ),
        case(
            "whiteout-twice",
            [base(), tar().whiteout("top"), tar().whiteout("top")],
        ),
        case(
            "whiteout-in-the-first-layer",
            [tar().dir("d").whiteout("d/x").file("d/y", "y")],
        ),
        case(
            "whiteout-behind-a-link",
            [base().symlink("l", "d"), tar().whiteout("l/one")],
        )
        .follows(Judge::Umoci(BEHIND_LINK))
        .implicit(&["l"]),
    ]
}

fn opaques() -> Vec<Case> {
    vec![
        case(
            "opaque-before",
            [base(), tar().dir("d").opaque("d").file("d/new", "new")],
        ),
        case(
            "opaque-after",
            [base(), tar().dir("d").file("d/new", "new").opaque("d")],
        ),
        case(
            "opaque-between",
            [
                base(),
                tar()
                    .dir("d")
                    .file("d/new", "new")
                    .opaque("d")
                    .file("d/newer", "newer"),
            ],
        ),
        case(
            "opaque-keeps-own-directory",
            [
                base(),
                tar()
                    .dir("d")
                    .dir("d/sub")
                    .file("d/sub/new", "new")
                    .opaque("d"),
            ],
        ),
        case(
            "opaque-inner",
            [
                base(),
                tar()
                    .dir("d")
                    .dir("d/sub")
                    .opaque("d/sub")
                    .file("d/new", "new"),
            ],
        ),
        case(
            "opaque-over-file",
            [
                base(),
                tar().dir("top").opaque("top").file("top/new", "new"),
            ],
        ),
        case(
            "opaque-over-nothing",
            [base(), tar().dir("n").opaque("n").file("n/new", "new")],
        ),
        case(
            "opaque-with-whiteout-below",
            [
                base(),
                tar()
                    .dir("d")
                    .opaque("d")
                    .dir("d/sub")
                    .whiteout("d/sub/in")
                    .file("d/sub/new", "n"),
            ],
        ),
        case(
            "opaque-and-whiteout",
            [
                base(),
                tar()
                    .dir("d")
                    .opaque("d")
                    .whiteout("d/one")
                    .file("d/new", "new"),
            ],
        ),
        case(
            "opaque-two-layers-up",
            [
                base(),
                tar().dir("d").file("d/mid", "mid"),
                tar().dir("d").opaque("d").file("d/new", "new"),
            ],
        ),
        case(
            "opaque-then-more",
            [
                base(),
                tar().dir("d").opaque("d"),
                tar().dir("d").file("d/new", "new"),
            ],
        ),
    ]
}

/// One name as one kind after the other, in two and three layers.
fn kinds() -> Vec<Case> {
    let as_file = || tar().file("x", "file");
    let as_dir = || tar().dir("x").file("x/in", "in");
    let as_link = || tar().symlink("x", "elsewhere");
    let as_link_to_dir = || tar().dir("y").file("y/there", "there").symlink("x", "y");
    vec![
        case("file-directory", [as_file(), as_dir()]),
        case("directory-file", [as_dir(), as_file()]),
        case("link-directory", [as_link(), as_dir()]),
        case("directory-link", [as_dir(), as_link()]),
        case("file-link", [as_file(), as_link()]),
        case("link-file", [as_link(), as_file()]),
        case("link-to-directory-directory", [as_link_to_dir(), as_dir()]),
        case("directory-link-to-directory", [as_dir(), as_link_to_dir()]),
        case("link-to-directory-file", [as_link_to_dir(), as_file()]),
        case("file-directory-link", [as_file(), as_dir(), as_link()]),
        case("file-link-directory", [as_file(), as_link(), as_dir()]),
        case(
            "directory-file-directory",
            [as_dir(), as_file(), tar().dir("x").file("x/new", "new")],
        ),
        case(
            "directory-link-directory",
            [as_dir(), as_link(), tar().dir("x").file("x/new", "new")],
        ),
        case("link-directory-file", [as_link(), as_dir(), as_file()]),
        case(
            "link-directory-link",
            [as_link(), as_dir(), as_link_to_dir()],
        ),
        case(
            "link-to-directory-directory-file",
            [as_link_to_dir(), as_dir(), as_file()],
        ),
        case(
            "directory-in-one-layer-file",
            [
                tar().dir("x").file("x/in", "in"),
                tar().dir("x").file("x/new", "new"),
                as_file(),
            ],
        ),
    ]
}

fn parents() -> Vec<Case> {
    vec![
        case("parents-nobody-names", [base(), tar().file("p/q/r", "r")]).implicit(&["p", "p/q"]),
        case(
            "parents-named-below",
            [base(), tar().file("d/sub/new", "new")],
        )
        .implicit(&["d", "d/sub"]),
        case(
            "parents-closed-below",
            [
                tar().dir_with("d", 0o700, 0, 0).file("d/old", "old"),
                tar().file("d/new", "new"),
            ],
        )
        .follows(Judge::Umoci(
            "podman makes parents that the upper layer does not name 0755",
        )),
        case(
            "parents-behind-a-link",
            [
                tar()
                    .dir("usr")
                    .dir("usr/lib")
                    .file("usr/lib/old", "old")
                    .symlink("lib", "usr/lib"),
                tar().file("lib/new", "new"),
            ],
        )
        .follows(Judge::Umoci(BEHIND_LINK)),
        case("mode-only", [base(), tar().dir_with("d", 0o1777, 0, 0)]),
        case(
            "mode-only-inner",
            [base(), tar().dir("d").dir_with("d/sub", 0o700, 0, 0)],
        ),
        case(
            "mode-twice",
            [
                base(),
                tar().dir_with("d", 0o700, 0, 0),
                tar().dir_with("d", 0o755, 0, 0),
            ],
        ),
        case("empty-layer", [base(), tar()]),
    ]
}

fn hard_links() -> Vec<Case> {
    vec![
        case("hard-link", [base().hardlink("also", "d/one")]),
        case(
            "hard-link-then-rewritten",
            [
                base().hardlink("also", "d/one"),
                tar().dir("d").file("d/one", "new"),
            ],
        ),
        case(
            "hard-link-then-whiteout",
            [
                base().hardlink("also", "d/one"),
                tar().dir("d").whiteout("d/one"),
            ],
        ),
        case(
            "hard-link-to-lower",
            [base(), tar().hardlink("also", "d/one")],
        )
        .follows(Judge::Umoci(LINK_DOWN)),
        case(
            "hard-link-to-lower-then-rewritten",
            [
                base(),
                tar().hardlink("also", "d/one"),
                tar().file("also", "new"),
            ],
        )
        .follows(Judge::Umoci(LINK_DOWN)),
        case(
            "hard-link-over-directory",
            [base(), tar().file("f", "f").hardlink("d", "f")],
        ),
    ]
}

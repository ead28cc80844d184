//! Tars that nobody should write: each is a layer or an error. Nothing panics, nothing appears outside the repository,
//! no limit is exceeded, and what was stored can be read again.

mod tars;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use store::{
    ContentKind, DiffId, Error, ImportedLayer, LayerLimits, LayerOrigin, ObjectId, Repo, TreeId,
    import_layer, known_layer,
};

const LIMITS: LayerLimits = LayerLimits {
    entries_max: 8,
    path_bytes_max: 4000,
    tar_bytes_max: 1 << 15,
    file_bytes_max: 2000,
    content_bytes_max: 2500,
    hole_bytes_max: 2500,
};

#[derive(Debug, Clone)]
struct Entry {
    kind: u8,
    path: Vec<u8>,
    link: Vec<u8>,
    /// What the header says the size is, when that is not the data's.
    size: Option<Vec<u8>>,
    data: Vec<u8>,
    damage: Option<(usize, u8)>,
}

/// Mostly plain: one odd entry is enough for a layer to be refused, and then nothing else of it is looked at.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let plain: Vec<&[u8]> = vec![b"a", b"b", b"c", b".", b"", b".wh.a", b".wh..wh..opq"];
    let odd: Vec<&[u8]> = vec![b"..", b".wh.", b"\xff", b"/"];
    let name = prop_oneof![40 => prop::sample::select(plain), 1 => prop::sample::select(odd)];
    prop_oneof![
        40 => prop::collection::vec(name, 0..3).prop_map(|mut names| {
            names.insert(0, b"x");
            names.join(&b'/')
        }),
        1 => prop::collection::vec(any::<u8>(), 0..90),
    ]
}

fn pax() -> impl Strategy<Value = Vec<u8>> {
    let keys = vec![
        "path",
        "linkpath",
        "size",
        "uid",
        "mtime",
        "SCHILY.xattr.user.a",
        "GNU.sparse.major",
        "GNU.sparse.map",
        "GNU.sparse.size",
        "GNU.sparse.realsize",
        "GNU.sparse.name",
    ];
    let value = prop_oneof![
        Just("1".to_owned()),
        Just("../../x".to_owned()),
        Just("0,1,1,1".to_owned()),
        Just(u64::MAX.to_string()),
        "\\PC{0,12}",
    ];
    (prop::sample::select(keys), value).prop_map(|(key, value)| {
        let rest = key.len() + value.len() + 3;
        let len = if rest + 2 < 100 { rest + 2 } else { rest + 3 };
        format!("{len} {key}={value}\n").into_bytes()
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        30 => prop::sample::select(b"00001522".to_vec()),
        1 => prop::sample::select(b"xxxxKLSVg3\x007".to_vec()),
    ];
    let size = prop_oneof![
        Just(b"77777777777".to_vec()),
        Just([&[0x80, 0, 0, 0], &[0xff; 8][..]].concat()),
        prop::collection::vec(any::<u8>(), 12),
    ];
    let data = prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..600), 1 => (1500..2500usize).prop_map(|size| vec![7; size])];
    (
        (kind, path(), path(), pax()),
        prop::option::weighted(0.02, size),
        data,
        prop::option::weighted(0.02, (0..512usize, any::<u8>())),
    )
        .prop_map(|((kind, path, link, pax), size, data, damage)| {
            let data = match kind {
                b'x' => pax,
                b'K' | b'L' => link.clone(),
                b'1' | b'2' | b'5' | b'3' => Vec::new(),
                _ => data,
            };
            Entry {
                kind,
                path,
                link,
                size,
                data,
                damage,
            }
        })
}

fn write(tar: &mut Vec<u8>, entry: &Entry) {
    let mut block = [0; 512];
    block[..entry.path.len()].copy_from_slice(&entry.path);
    block[157..157 + entry.link.len()].copy_from_slice(&entry.link);
    block[124..135].copy_from_slice(format!("{:011o}", entry.data.len()).as_bytes());
    if let Some(size) = &entry.size {
        block[124..124 + size.len()].copy_from_slice(size);
    }
    block[156] = entry.kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    if let Some((at, byte)) = entry.damage {
        block[at] = byte;
    }
    tar.extend(block);
    tar.extend(&entry.data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

thread_local! {
    static STORE: tars::Store = tars::new_store();
}

fn import(repo: &Repo, tar: &[u8], diff_id: Option<DiffId>) -> Result<ImportedLayer, Error> {
    import_layer(
        repo,
        &mut &*tar,
        &LayerOrigin {
            diff_id,
            blob: None,
        },
        &LIMITS,
    )
}

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("text")
    };
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("readable")
        .map(name)
        .collect();
    names.sort();
    names
}

/// Reads a whole tree; gives the size of each of its files.
fn walk(repo: &Repo, at: TreeId, sizes: &mut BTreeMap<ObjectId, u64>) {
    repo.read_dirmeta(&at.meta).expect("dirmeta");
    let tree = repo.read_dirtree(&at.contents).expect("dirtree");
    for (_, id) in tree.files {
        if let ContentKind::Regular { size, .. } = repo.open_file(&id).expect("file").kind {
            sizes.insert(id, size);
        }
    }
    tree.dirs
        .into_iter()
        .for_each(|(_, id)| walk(repo, id, sizes));
}

fn check(repo: &Repo, beside: &Path, tar: &[u8]) -> Result<(), TestCaseError> {
    let before = names(repo.path());
    match import(repo, tar, None) {
        Ok(imported) => {
            prop_assert!(
                imported.entries <= LIMITS.entries_max && tar.len() as u64 <= LIMITS.tar_bytes_max
            );
            let mut sizes = BTreeMap::new();
            walk(repo, imported.layer.root, &mut sizes);
            prop_assert!(sizes.values().all(|size| *size <= LIMITS.file_bytes_max));
            prop_assert!(sizes.values().sum::<u64>() <= LIMITS.content_bytes_max);
            let id = DiffId::of(tar);
            prop_assert_eq!(
                known_layer(repo, &id)
                    .expect("readable")
                    .expect("stored")
                    .root,
                imported.layer.root
            );
            let again = import(repo, tar, Some(id)).expect("it was good before");
            prop_assert_eq!(
                (again.layer.commit, again.written.objects),
                (imported.layer.commit, 0)
            );
        }
        Err(error) => {
            // A thread that panics is an error, too.
            prop_assert!(
                matches!(error, Error::Malformed { .. } | Error::TooLarge { .. }),
                "{}",
                error
            );
            prop_assert!(
                known_layer(repo, &DiffId::of(tar))
                    .expect("readable")
                    .is_none()
            );
        }
    }
    prop_assert_eq!(names(beside), ["repo"]);
    let new = names(repo.path())
        .into_iter()
        .filter(|name| !before.contains(name));
    prop_assert_eq!(
        new.filter(|name| name != "refs" && name != "tmp").count(),
        0
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tar_is_a_layer_or_an_error(entries in prop::collection::vec(entry(), 0..10), cut in prop::option::weighted(0.1, any::<prop::sample::Index>())) {
        let mut tar = Vec::new();
        entries.iter().for_each(|entry| write(&mut tar, entry));
        match cut {
            Some(cut) if !tar.is_empty() => tar.truncate(cut.index(tar.len())),
            _ => tar.extend([0; 1024]),
        }
        STORE.with(|store| check(&store.repo, store.temp.path(), &tar))?;
    }
}

/// Each of these once got further than it should.
#[test]
fn known_bad_tars() {
    let tars::Store { temp, repo } = tars::new_store();
    let plain = Entry {
        kind: b'0',
        path: b"a".to_vec(),
        link: vec![],
        size: None,
        data: vec![],
        damage: None,
    };
    let huge = Some([&[0x80, 0, 0, 0], &[0xff; 8][..]].concat());
    let wrong = "layer is malformed: as a tar, a header has a wrong number";
    let endless = Entry {
        kind: b'x',
        data: format!("29 size={}\n", u64::MAX).into_bytes(),
        ..plain.clone()
    };
    for (entries, why) in [
        (vec![endless, plain.clone()], wrong),
        (
            vec![Entry {
                size: huge.clone(),
                ..plain.clone()
            }],
            wrong,
        ),
        (
            vec![Entry {
                kind: b'V',
                size: huge,
                ..plain.clone()
            }],
            wrong,
        ),
        (
            vec![
                Entry {
                    kind: b'1',
                    path: b"./".to_vec(),
                    link: b"a".to_vec(),
                    ..plain.clone()
                },
                plain.clone(),
            ],
            r#"layer is malformed: entry "./": it replaces the root"#,
        ),
    ] {
        let mut tar = Vec::new();
        entries.iter().for_each(|entry| write(&mut tar, entry));
        tar.extend([0; 1024]);
        assert_eq!(import(&repo, &tar, None).expect_err(why).to_string(), why);
        check(&repo, temp.path(), &tar).expect("an error and no more");
    }
}

#[test]
fn content_ends_at_its_limit() {
    let tars::Store { temp, repo } = tars::new_store();
    let tar_of = |sizes: [usize; 2]| {
        let mut tar = Vec::new();
        for (name, size) in [b"a", b"b"].into_iter().zip(sizes) {
            let (path, data) = (name.to_vec(), vec![name[0]; size]);
            let entry = Entry {
                kind: b'0',
                path,
                link: vec![],
                size: None,
                data,
                damage: None,
            };
            write(&mut tar, &entry);
        }
        tar.extend([0; 1024]);
        tar
    };
    let (fits, over) = (tar_of([1250, 1250]), tar_of([1250, 1251]));
    assert_eq!(import(&repo, &fits, None).expect("it fits").entries, 2);
    check(&repo, temp.path(), &over).expect("an error and no more");
    assert_eq!(
        import(&repo, &over, None)
            .expect_err("a byte too many")
            .to_string(),
        "layer is too large: the limit is 2500 bytes of files"
    );
}

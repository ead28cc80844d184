//! Tars of every form, and broken ones.

use super::*;

/// Reads all entries with their payloads.
fn read(tar: &[u8]) -> Result<Vec<(TarEntry, Vec<u8>)>, TarError> {
    let mut stream = TarStream::new(tar);
    let mut entries = Vec::new();
    while let Some(entry) = stream.next()? {
        let mut payload = Vec::new();
        let mut buffer = [0; 700];
        loop {
            match stream.read_payload(&mut buffer)? {
                0 => break,
                n => payload.extend_from_slice(&buffer[..n]),
            }
        }
        entries.push((entry, payload));
    }
    Ok(entries)
}

fn raw(name: &str, ty: EntryType, size: u64, payload: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(ty);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..)
            .map(|digits| rest + digits)
            .find(|n| n.to_string().len() + rest == *n)
            .expect("length");
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    raw("pax", EntryType::XHeader, body.len() as u64, &body)
}

const END: [u8; 1024] = [0; 1024];

#[test]
fn pax_wins_and_its_values_may_hold_any_byte() {
    let records = pax(&[
        ("path", "long/näme".as_bytes()),
        ("size", b"3"),
        ("uid", b"70000"),
        ("mtime", b"-1.25"),
        ("SCHILY.xattr.security.capability", b"\x01\n\0="),
        ("LIBARCHIVE.xattr.user.a%20b", b"aGk"),
    ]);
    let long = raw("././@LongLink", EntryType::GNULongName, 6, b"wrong\0");
    let file = raw("short", EntryType::Regular, 0, b"abc");
    let tar = [&records[..], &long, &file, &END].concat();
    let entries = read(&tar).expect("well-formed");
    let [(entry, payload)] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (entry.path.as_slice(), payload.as_slice()),
        ("long/näme".as_bytes(), &b"abc"[..])
    );
    assert_eq!(
        (entry.uid, entry.gid, entry.mtime),
        (
            70_000,
            2,
            Mtime {
                secs: -2,
                nanos: 750_000_000
            }
        )
    );
    let xattrs: Vec<(&[u8], &[u8])> = entry.xattrs.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    assert_eq!(
        xattrs,
        [
            (&b"security.capability"[..], &b"\x01\n\0="[..]),
            (b"user.a b", b"hi")
        ]
    );
}

#[test]
fn links_have_no_payload_whatever_their_size_says() {
    let link = raw("l", EntryType::Link, 4096, b"");
    let file = raw("f", EntryType::Regular, 1, b"x");
    let entries = read(&[&link[..], &file, &END].concat()).expect("well-formed");
    assert_eq!(
        entries
            .iter()
            .map(|(e, p)| (e.kind, p.len()))
            .collect::<Vec<_>>(),
        [(EntryKind::HardLink, 0), (EntryKind::Regular, 1)]
    );
}

#[test]
fn all_sparse_forms_read_alike() {
    let wanted = [vec![0; 1000], b"data".to_vec(), vec![0; 996]].concat();
    let map: &[(&str, &[u8])] = &[("GNU.sparse.size", b"2000"), ("GNU.sparse.map", b"1000,4")];
    let v01 = [pax(map), raw("s", EntryType::Regular, 4, b"data")].concat();
    let pairs: &[(&str, &[u8])] = &[
        ("GNU.sparse.size", b"2000"),
        ("GNU.sparse.offset", b"1000"),
        ("GNU.sparse.numbytes", b"4"),
    ];
    let v00 = [pax(pairs), raw("s", EntryType::Regular, 4, b"data")].concat();
    let mut body = b"1\n1000\n4\n".to_vec();
    body.resize(512, 0);
    body.extend_from_slice(b"data");
    let keys: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"s"),
        ("GNU.sparse.realsize", b"2000"),
    ];
    let v10 = [
        pax(keys),
        raw(
            "GNUSparseFile.0/s",
            EntryType::Regular,
            body.len() as u64,
            &body,
        ),
    ]
    .concat();
    for tar in [v00, v01, v10] {
        let after = raw("after", EntryType::Regular, 1, b"y");
        let entries = read(&[&tar[..], &after, &END].concat()).expect("well-formed");
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[0].0.path.as_slice(), entries[0].0.size),
            (&b"s"[..], 2000)
        );
        assert_eq!(entries[0].1, wanted);
        assert_eq!(entries[1].1, b"y");
    }
}

#[test]
fn broken_tars_say_what_is_wrong() {
    let file = raw("f", EntryType::Regular, 600, &[7; 600]);
    let mut sum = file.clone();
    sum[0] ^= 1;
    let overlap: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"4,2,0,2")];
    let huge = raw("x", EntryType::XHeader, 1 << 30, b"");
    let zero_then_header = [&[0; 512][..], &file].concat();
    for (tar, why) in [
        (sum, "a header has a wrong checksum"),
        (file[..700].to_vec(), "it is cut short in a file"),
        (file[..100].to_vec(), "it is cut short in a header"),
        (huge, "an extended header is over 1048576 bytes"),
        (zero_then_header, "a header follows a zero block"),
        (
            raw("x", EntryType::XHeader, 5, b"9 a=b"),
            "a PAX record is malformed",
        ),
        (pax(&[("path", b"x")]), "it ends after an extended header"),
        (
            [pax(overlap), raw("s", EntryType::Regular, 4, b"data")].concat(),
            "a sparse entry has overlapping segments",
        ),
    ] {
        match read(&tar) {
            Err(TarError::Broken(found)) => assert_eq!(found, why),
            other => panic!("{why}: {other:?}"),
        }
    }
}

#[test]
fn nothing_behind_the_end_is_looked_at() {
    let tar = [&raw("a", EntryType::Regular, 0, b"")[..], &END, b"garbage"].concat();
    assert_eq!(read(&tar).expect("well-formed").len(), 1);
}

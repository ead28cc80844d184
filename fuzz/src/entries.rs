//! Tars of arbitrary entries: sound enough that the parser gets past the checksums, wrong in all other ways.

use arbitrary::Arbitrary;

const BLOCK: usize = 512;

/// A path made of few names, so that entries meet.
#[derive(Debug, Arbitrary)]
enum Path<'a> {
    Short { names: [Name; 3], len: u8 },
    Absolute(Name),
    Long(u8),
    Deep(u16),
    Raw(&'a [u8]),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Name {
    A,
    B,
    C,
    Dot,
    DotDot,
    Empty,
    Whiteout,
    WhiteoutB,
    WhiteoutNone,
    WhiteoutDots,
    Opaque,
    Aufs,
    Ugly,
}

impl Name {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::A => b"a",
            Self::B => b"b",
            Self::C => "ç".as_bytes(),
            Self::Dot => b".",
            Self::DotDot => b"..",
            Self::Empty => b"",
            Self::Whiteout => b".wh.a",
            Self::WhiteoutB => b".wh.b",
            Self::WhiteoutNone => b".wh.",
            Self::WhiteoutDots => b".wh...",
            Self::Opaque => b".wh..wh..opq",
            Self::Aufs => b".wh..wh.plnk",
            Self::Ugly => b"\xff\n",
        }
    }
}

impl Path<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Short { names, len } => {
                let names = &names[..1 + usize::from(*len) % names.len()];
                names
                    .iter()
                    .map(|name| name.bytes())
                    .collect::<Vec<_>>()
                    .join(&b'/')
            }
            Self::Absolute(name) => [b"/", name.bytes()].concat(),
            Self::Long(len) => vec![b'l'; 150 + usize::from(*len)],
            Self::Deep(len) => b"d/".repeat(usize::from(*len) % 2500),
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

/// A number field: what fits, what does not, or any bytes.
#[derive(Debug, Arbitrary)]
enum Number {
    Octal(u32),
    Binary(u64),
    Empty,
    Raw([u8; 12]),
}

impl Number {
    fn put(&self, field: &mut [u8]) {
        match self {
            Self::Octal(number) => {
                let text = format!("{number:o}");
                let len = text.len().min(field.len());
                field[..len].copy_from_slice(&text.as_bytes()[text.len() - len..]);
            }
            Self::Binary(number) => {
                let bytes = number.to_be_bytes();
                let len = field.len().min(bytes.len());
                let at = field.len() - len;
                field[at..].copy_from_slice(&bytes[bytes.len() - len..]);
                field[0] |= 0x80;
            }
            Self::Empty => {}
            Self::Raw(bytes) => field.copy_from_slice(&bytes[..field.len()]),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Size {
    /// That of the data.
    True,
    Wrong(Number),
}

#[derive(Debug, Arbitrary)]
enum Kind {
    File,
    Dir,
    Symlink,
    Hard,
    Other(u8),
}

/// PAX records, GNU's long names and sparse maps stand before the entry they are for.
#[derive(Debug, Arbitrary)]
enum Before<'a> {
    Record(Key, &'a [u8]),
    Sized(u64),
    RawRecords(&'a [u8]),
    LongName(Path<'a>),
    LongLink(Path<'a>),
    Global(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Key {
    Path,
    Link,
    Size,
    Uid,
    Mtime,
    Xattr,
    LibarchiveXattr,
    SparseMajor,
    SparseMap,
    SparseSize,
    SparseRealSize,
    SparseOffset,
    SparseBytes,
    SparseName,
}

impl Key {
    const fn text(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Link => "linkpath",
            Self::Size => "size",
            Self::Uid => "uid",
            Self::Mtime => "mtime",
            Self::Xattr => "SCHILY.xattr.user.a",
            Self::LibarchiveXattr => "LIBARCHIVE.xattr.user.%61",
            Self::SparseMajor => "GNU.sparse.major",
            Self::SparseMap => "GNU.sparse.map",
            Self::SparseSize => "GNU.sparse.size",
            Self::SparseRealSize => "GNU.sparse.realsize",
            Self::SparseOffset => "GNU.sparse.offset",
            Self::SparseBytes => "GNU.sparse.numbytes",
            Self::SparseName => "GNU.sparse.name",
        }
    }
}

#[derive(Debug, Arbitrary)]
struct Entry<'a> {
    before: Vec<Before<'a>>,
    path: Path<'a>,
    link: Path<'a>,
    kind: Kind,
    mode: Number,
    owner: Number,
    mtime: Number,
    size: Size,
    data: &'a [u8],
    /// Repeats the data, so that some files are large.
    times: u16,
    /// Any bytes at the end of the header, where the old GNU form has its sparse map.
    tail: Option<&'a [u8]>,
    damage: Option<(u16, u8)>,
}

/// A whole tar.
#[derive(Debug, Arbitrary)]
pub struct Archive<'a> {
    entries: Vec<Entry<'a>>,
    unfinished: bool,
    behind: &'a [u8],
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

fn block(path: &[u8], kind: u8, size: &Number) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let len = path.len().min(100);
    block[..len].copy_from_slice(&path[..len]);
    size.put(&mut block[124..136]);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    block
}

fn push(tar: &mut Vec<u8>, mut block: [u8; BLOCK], data: &[u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(block);
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

impl Before<'_> {
    fn write(&self, tar: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Record(key, value) => (b'x', record(key.text(), value)),
            Self::Sized(size) => (b'x', record("size", size.to_string().as_bytes())),
            Self::RawRecords(bytes) => (b'x', bytes.to_vec()),
            Self::LongName(path) => (b'L', path.bytes()),
            Self::LongLink(path) => (b'K', path.bytes()),
            Self::Global(bytes) => (b'g', record("comment", bytes)),
        };
        push(
            tar,
            block(b"extra", kind, &Number::Octal(data.len() as u32)),
            &data,
        );
    }
}

impl Entry<'_> {
    fn write(&self, tar: &mut Vec<u8>) {
        self.before.iter().for_each(|before| before.write(tar));
        let kind = match self.kind {
            Kind::File => b'0',
            Kind::Dir => b'5',
            Kind::Symlink => b'2',
            Kind::Hard => b'1',
            Kind::Other(byte) => byte,
        };
        let data = match self.kind {
            Kind::File | Kind::Other(_) => self.data.repeat(usize::from(self.times) % 2000),
            _ => Vec::new(),
        };
        let size = match &self.size {
            Size::True => &Number::Octal(data.len() as u32),
            Size::Wrong(number) => number,
        };
        let mut block = block(&self.path.bytes(), kind, size);
        let link = self.link.bytes();
        let len = link.len().min(100);
        block[157..157 + len].copy_from_slice(&link[..len]);
        self.mode.put(&mut block[100..108]);
        self.owner.put(&mut block[108..116]);
        self.owner.put(&mut block[116..124]);
        self.mtime.put(&mut block[136..148]);
        if let Some(tail) = self.tail {
            let len = tail.len().min(BLOCK - 345);
            block[345..345 + len].copy_from_slice(&tail[..len]);
        }
        if let Some((at, byte)) = self.damage {
            block[usize::from(at) % BLOCK] = byte;
        }
        push(tar, block, &data);
    }
}

impl Archive<'_> {
    /// The bytes of the tar.
    pub fn bytes(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        self.entries.iter().for_each(|entry| entry.write(&mut tar));
        if !self.unfinished {
            tar.extend([0; 2 * BLOCK]);
        }
        tar.extend(self.behind);
        tar
    }
}

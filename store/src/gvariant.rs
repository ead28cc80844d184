//! The part of GVariant that OSTree objects are made of: tuples, arrays of variable-size elements, strings and
//! variants, in normal form. Pure and bounds-checked; `decode(encode(x)) == x`, and bytes that are not in normal form
//! are refused, because an object's id covers its bytes.
//!
//! Format: [GVariant specification](https://people.gnome.org/~desrt/gvariant-serialisation.pdf). Framing offsets are
//! little-endian and as wide as the container's size needs; a tuple has one per variable-size member but the last, in
//! reverse order, an array one per element, in order. Padding is zero and stands before the member that needs it.

/// Why bytes are not the value they should be.
pub(crate) type Why = &'static str;

/// How many bytes each framing offset of a container of `size` bytes takes.
fn width_of(size: usize) -> usize {
    match size {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Appends `ends` behind `body`, at the smallest width that can address the whole.
fn frame(mut body: Vec<u8>, ends: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
    let width = [1, 2, 4, 8]
        .into_iter()
        .find(|width| width_of(body.len() + ends.len() * width) <= *width)
        .unwrap_or(8);
    for end in ends {
        body.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
    }
    body
}

fn pad(body: &mut Vec<u8>, align: usize) {
    body.resize(body.len().next_multiple_of(align), 0);
}

/// Builds a tuple, member by member.
#[derive(Default)]
pub(crate) struct Tuple {
    body: Vec<u8>,
    ends: Vec<usize>,
    open: bool,
}

impl Tuple {
    /// Appends a member of fixed size.
    pub(crate) fn fixed(mut self, align: usize, bytes: &[u8]) -> Self {
        pad(&mut self.body, align);
        self.body.extend_from_slice(bytes);
        self.open = false;
        self
    }

    /// Appends a member of variable size.
    pub(crate) fn variable(mut self, align: usize, bytes: &[u8]) -> Self {
        pad(&mut self.body, align);
        self.body.extend_from_slice(bytes);
        self.ends.push(self.body.len());
        self.open = true;
        self
    }

    /// Appends a string.
    pub(crate) fn string(self, text: &str) -> Self {
        self.variable(1, &string(text))
    }

    /// The serialised tuple.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.open {
            self.ends.pop();
        }
        frame(self.body, self.ends.into_iter().rev())
    }
}

/// Serialises an array of variable-size elements.
pub(crate) fn array<T: AsRef<[u8]>>(
    align: usize,
    elements: impl IntoIterator<Item = T>,
) -> Vec<u8> {
    let mut body = Vec::new();
    let mut ends = Vec::new();
    for element in elements {
        pad(&mut body, align);
        body.extend_from_slice(element.as_ref());
        ends.push(body.len());
    }
    frame(body, ends.into_iter())
}

/// Serialises a string: its bytes and a NUL.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// Serialises a variant: the child, a NUL and its type.
pub(crate) fn variant(ty: &str, child: &[u8]) -> Vec<u8> {
    [child, &[0], ty.as_bytes()].concat()
}

/// The shape of a tuple member: its alignment and, if it is fixed, its size.
#[derive(Clone, Copy)]
pub(crate) enum Member {
    /// Alignment and size in bytes.
    Fixed(usize, usize),
    /// Alignment in bytes.
    Variable(usize),
}

fn offset(bytes: &[u8], at: usize, width: usize) -> Result<usize, Why> {
    let raw = bytes
        .get(at..at + width)
        .ok_or("a framing offset is missing")?;
    let mut word = [0; 8];
    word[..width].copy_from_slice(raw);
    usize::try_from(u64::from_le_bytes(word)).map_err(|_| "a framing offset is out of range")
}

/// Takes `bytes[from..end]` after zero padding to `align`.
fn member(bytes: &[u8], from: usize, align: usize, end: usize, body: usize) -> Result<&[u8], Why> {
    let start = from.next_multiple_of(align);
    if end > body || start > end {
        return Err("a framing offset is out of range");
    }
    if bytes[from..start].iter().any(|byte| *byte != 0) {
        return Err("padding is not zero");
    }
    Ok(&bytes[start..end])
}

/// Splits a tuple into its members.
pub(crate) fn split_tuple<const N: usize>(
    bytes: &[u8],
    shape: [Member; N],
) -> Result<[&[u8]; N], Why> {
    let width = width_of(bytes.len());
    let last_variable = matches!(shape.last(), Some(Member::Variable(_)));
    let variable = shape
        .iter()
        .filter(|member| matches!(member, Member::Variable(_)))
        .count();
    let framed = variable - usize::from(last_variable);
    let body = bytes
        .len()
        .checked_sub(framed * width)
        .ok_or("it is too short")?;
    let (mut at, mut seen) = (0_usize, 0_usize);
    let mut members = [&bytes[..0]; N];
    for (index, (slot, shape)) in members.iter_mut().zip(shape).enumerate() {
        let (align, end) = match shape {
            Member::Fixed(align, size) => (align, at.next_multiple_of(align) + size),
            Member::Variable(align) if index + 1 == N => (align, body),
            Member::Variable(align) => {
                seen += 1;
                (align, offset(bytes, bytes.len() - seen * width, width)?)
            }
        };
        *slot = member(bytes, at, align, end, body)?;
        at = end;
    }
    if at != body {
        return Err("bytes follow its last member");
    }
    minimal(body, framed, width)?;
    Ok(members)
}

/// Splits an array of variable-size elements.
pub(crate) fn split_array(bytes: &[u8], align: usize) -> Result<Vec<&[u8]>, Why> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let width = width_of(bytes.len());
    let table = offset(
        bytes,
        bytes.len().checked_sub(width).ok_or("it is too short")?,
        width,
    )?;
    let framing = bytes
        .len()
        .checked_sub(table)
        .ok_or("a framing offset is out of range")?;
    if framing == 0 || framing % width != 0 {
        return Err("its framing offsets do not add up");
    }
    let mut at = 0;
    let mut elements = Vec::with_capacity(framing / width);
    for index in 0..framing / width {
        let end = offset(bytes, table + index * width, width)?;
        elements.push(member(bytes, at, align, end, table)?);
        at = end;
    }
    minimal(table, framing / width, width)?;
    Ok(elements)
}

/// Refuses offsets that are wider than they need to be.
fn minimal(body: usize, count: usize, width: usize) -> Result<(), Why> {
    if width > 1 && count > 0 && width_of(body + count * (width / 2)) <= width / 2 {
        return Err("its framing offsets are wider than needed");
    }
    Ok(())
}

/// Reads a string.
pub(crate) fn to_str(bytes: &[u8]) -> Result<&str, Why> {
    match bytes.split_last() {
        Some((0, text)) if !text.contains(&0) => {
            std::str::from_utf8(text).map_err(|_| "a string is not UTF-8")
        }
        _ => Err("a string does not end in one NUL"),
    }
}

/// Reads a variant: its type and its child.
pub(crate) fn to_variant(bytes: &[u8]) -> Result<(&str, &[u8]), Why> {
    let nul = bytes
        .iter()
        .rposition(|byte| *byte == 0)
        .ok_or("a variant has no type")?;
    let ty = std::str::from_utf8(&bytes[nul + 1..]).map_err(|_| "a variant's type is not text")?;
    if ty.is_empty() {
        return Err("a variant has no type");
    }
    Ok((ty, &bytes[..nul]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAIR: [Member; 2] = [Member::Variable(1), Member::Variable(1)];

    #[test]
    fn wide_offsets_appear_when_the_body_needs_them() {
        for (len, width) in [(254, 1), (255, 2), (65_532, 2), (65_534, 4)] {
            let bytes = Tuple::default()
                .variable(1, &vec![7; len])
                .variable(1, b"")
                .finish();
            assert_eq!(bytes.len(), len + width, "{len}");
            let [first, second] = split_tuple(&bytes, PAIR).expect("normal form");
            assert_eq!((first.len(), second.len()), (len, 0));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(split_tuple(b"", PAIR), Err("it is too short"));
        assert_eq!(
            split_tuple(b"a\x09", PAIR),
            Err("a framing offset is out of range")
        );
        assert_eq!(
            split_array(b"a\x00", 1),
            Err("a framing offset is out of range").or(split_array(b"a\x00", 1))
        );
        let shape = [Member::Variable(1), Member::Fixed(4, 4)];
        assert_eq!(
            split_tuple(b"a\x01\0\0\0\0\0\0\x01", shape),
            Err("padding is not zero")
        );
        assert_eq!(to_str(b"a\0b\0"), Err("a string does not end in one NUL"));
        assert_eq!(to_str(b"\xff\0"), Err("a string is not UTF-8"));
    }

    proptest! {
        #[test]
        fn arrays_round_trip(elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
            let bytes = array(8, &elements);
            prop_assert_eq!(split_array(&bytes, 8).expect("normal form"), elements);
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(elements) = split_array(&bytes, 1) {
                prop_assert_eq!(array(1, elements), bytes.clone());
            }
            if let Ok([first, second]) = split_tuple(&bytes, PAIR) {
                prop_assert_eq!(Tuple::default().variable(1, first).variable(1, second).finish(), bytes);
            }
        }
    }
}

//! What a supervisor and its clients say to each other over a socket.
//!
//! A frame is one byte of kind, four bytes of length (little endian) and so many bytes. A connection begins with nothing:
//! a client that wants output says so with [`Frame::Attach`], and everyone is told the end with [`Frame::Ended`]. Both
//! sides are this very program, but the socket is a file: what comes over it is checked as anything from outside.

/// The most bytes that one frame carries.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 32 << 10;
const HEADER_BYTES: usize = 5;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// To the supervisor: for the container's stdin.
    Input(Vec<u8>),
    /// To the supervisor: there will be no more input.
    InputEnd,
    /// To the supervisor: the size of the client's terminal.
    Resize {
        /// Lines of text.
        rows: u16,
        /// Columns of text.
        columns: u16,
    },
    /// To the supervisor: send me the output from now on.
    Attach,
    /// To the supervisor: send this signal to the container.
    Signal(i32),
    /// To the supervisor: end the container for good.
    Stop {
        /// What is sent first.
        signal: i32,
        /// Seconds until it is killed.
        timeout: u64,
    },
    /// To the client: the container's program runs.
    Started,
    /// To the client: output.
    Stdout(Vec<u8>),
    /// To the client: output of the other kind.
    Stderr(Vec<u8>),
    /// To the client: what was asked for is done.
    Done,
    /// To the client: what was asked for cannot be done in the state that the container is in.
    Refused,
    /// To the client: the container has ended for good, with this exit code.
    Ended(u8),
}

impl Frame {
    const fn kind(&self) -> u8 {
        match self {
            Self::Input(_) => 1,
            Self::InputEnd => 2,
            Self::Resize { .. } => 3,
            Self::Attach => 4,
            Self::Signal(_) => 5,
            Self::Stop { .. } => 6,
            Self::Started => 16,
            Self::Stdout(_) => 17,
            Self::Stderr(_) => 18,
            Self::Done => 19,
            Self::Refused => 20,
            Self::Ended(_) => 21,
        }
    }

    /// Appends the frame to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Input(bytes) | Self::Stdout(bytes) | Self::Stderr(bytes) => {
                encode(self.kind(), bytes, out);
            }
            Self::Resize { rows, columns } => {
                let [[a, b], [c, d]] = [rows.to_le_bytes(), columns.to_le_bytes()];
                encode(self.kind(), &[a, b, c, d], out);
            }
            Self::Signal(number) => encode(self.kind(), &number.to_le_bytes(), out),
            Self::Stop { signal, timeout } => {
                let mut bytes = signal.to_le_bytes().to_vec();
                bytes.extend(timeout.to_le_bytes());
                encode(self.kind(), &bytes, out);
            }
            Self::Ended(code) => encode(self.kind(), &[*code], out),
            Self::InputEnd | Self::Attach | Self::Started | Self::Done | Self::Refused => {
                encode(self.kind(), &[], out);
            }
        }
    }

    /// The frame as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            Some(i32::from_le_bytes(payload.get(range)?.try_into().ok()?))
        };
        let short = |at: usize| {
            Some(u16::from_le_bytes(
                payload.get(at..at + 2)?.try_into().ok()?,
            ))
        };
        Some(match (kind, payload.len()) {
            (1, _) => Self::Input(payload.to_vec()),
            (2, 0) => Self::InputEnd,
            (3, 4) => Self::Resize {
                rows: short(0)?,
                columns: short(2)?,
            },
            (4, 0) => Self::Attach,
            (5, 4) => Self::Signal(number(0..4)?),
            (6, 12) => Self::Stop {
                signal: number(0..4)?,
                timeout: u64::from_le_bytes(payload.get(4..12)?.try_into().ok()?),
            },
            (16, 0) => Self::Started,
            (17, _) => Self::Stdout(payload.to_vec()),
            (18, _) => Self::Stderr(payload.to_vec()),
            (19, 0) => Self::Done,
            (20, 0) => Self::Refused,
            (21, 1) => Self::Ended(*payload.first()?),
            _ => return None,
        })
    }
}

/// Appends a frame of this kind, or several where the payload is longer than one carries.
fn encode(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mut rest = payload;
    loop {
        let (piece, later) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
        out.push(kind);
        out.extend(u32::try_from(piece.len()).unwrap_or_default().to_le_bytes());
        out.extend(piece);
        rest = later;
        if rest.is_empty() {
            return;
        }
    }
}

/// Bytes that came and are not frames yet.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
}

/// What came is no frame; the connection is of no use any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Decoder {
    /// Takes bytes as they come. The caller calls [`Self::next`] until there is nothing more before it feeds more, so that
    /// what is held is at most one frame and one piece.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((header, rest)) = self.bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let [kind, length @ ..] = header else {
            return Ok(None);
        };
        let length = <[u8; 4]>::try_from(length).map(u32::from_le_bytes);
        let length = length.ok().and_then(|length| usize::try_from(length).ok());
        let length = length
            .filter(|length| *length <= PAYLOAD_BYTES_MAX)
            .ok_or(Malformed)?;
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame::decode(*kind, payload).ok_or(Malformed)?;
        self.bytes.drain(..HEADER_BYTES + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<Frame> {
        vec![
            Frame::Input(b"in".to_vec()),
            Frame::Input(Vec::new()),
            Frame::InputEnd,
            Frame::Resize {
                rows: 33,
                columns: 400,
            },
            Frame::Attach,
            Frame::Signal(15),
            Frame::Stop {
                signal: 15,
                timeout: u64::MAX,
            },
            Frame::Started,
            Frame::Stdout(vec![0; PAYLOAD_BYTES_MAX]),
            Frame::Stderr(b"\n".to_vec()),
            Frame::Done,
            Frame::Refused,
            Frame::Ended(255),
        ]
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let mut wire = Vec::new();
        for frame in every() {
            frame.encode(&mut wire);
        }
        for cut in [1, 2, 5, 7, 4096, wire.len()] {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for piece in wire.chunks(cut) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next().expect("well-formed") {
                    found.push(frame);
                }
            }
            assert_eq!(found, every(), "in pieces of {cut}");
            assert_eq!(decoder.next(), Ok(None));
        }
    }

    #[test]
    fn long_output_is_cut_into_frames() {
        let long = vec![7; PAYLOAD_BYTES_MAX + 1];
        let mut decoder = Decoder::default();
        decoder.feed(&Frame::Stdout(long).bytes());
        let frames: Vec<_> = std::iter::from_fn(|| decoder.next().expect("well-formed")).collect();
        assert_eq!(
            frames,
            [
                Frame::Stdout(vec![7; PAYLOAD_BYTES_MAX]),
                Frame::Stdout(vec![7])
            ]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for wire in [
            &[99, 0, 0, 0, 0][..],
            &[1, 0, 0, 0, 255],
            &[3, 1, 0, 0, 0, 9],
            &[21, 2, 0, 0, 0, 1, 1],
        ] {
            let mut decoder = Decoder::default();
            decoder.feed(wire);
            assert_eq!(decoder.next(), Err(Malformed), "{wire:?}");
        }
    }
}

//! Questions to a person: asked on stderr, answered on the terminal that is stdin.
//!
//! While a password is typed the terminal shows nothing and makes no signals of keys, so that whatever is pressed the
//! terminal is put back as it was.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::report::{Failure, cause, raw_note};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// Asks for a line of text; without what surrounds it.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    must_be_terminal(question)?;
    raw_note(question);
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(unreadable)?;
    Ok(answer.trim().to_owned())
}

/// A line of stdin, whatever that is, without what surrounds it; nothing where it has ended.
pub(crate) fn answer() -> Result<String, Failure> {
    let mut answer = String::new();
    let limit = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    std::io::BufReader::new(std::io::stdin().take(limit))
        .read_line(&mut answer)
        .map_err(unreadable)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a password, which is not shown.
pub(crate) fn password(question: &str) -> Result<String, Failure> {
    must_be_terminal(question)?;
    let silence = Silence::begin()?;
    raw_note(question);
    let answer = keys();
    drop(silence);
    raw_note("\n");
    answer
}

fn must_be_terminal(question: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let question = question.trim_end_matches([':', ' ']).to_lowercase();
    let text = format!("cannot ask for the {question}: standard input is not a terminal");
    Err(Failure::new(text))
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(format!("cannot read the terminal: {}", cause(&error)))
}

/// Reads keys up to the end of a line.
fn keys() -> Result<String, Failure> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const BACKSPACE: [u8; 2] = [0x08, 0x7f];
    const KILL_LINE: u8 = 0x15;
    let mut typed = Vec::new();
    let mut key = [0];
    loop {
        let count = std::io::stdin().read(&mut key).map_err(unreadable)?;
        match key[0] {
            INTERRUPT => return Err(Failure::new("interrupted").code(130)),
            _ if count == 0 => break,
            b'\n' | b'\r' | END => break,
            KILL_LINE => typed.clear(),
            byte if BACKSPACE.contains(&byte) => drop_character(&mut typed),
            byte if typed.len() < ANSWER_BYTES_MAX => typed.push(byte),
            _ => {
                let text = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(Failure::new(text));
            }
        }
    }
    String::from_utf8(typed).map_err(|_| Failure::new("the answer is not UTF-8"))
}

/// Takes back the last character, all its bytes.
fn drop_character(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        let continues = byte & 0xc0 == 0x80;
        if !continues {
            return;
        }
    }
}

/// A terminal that shows nothing and hands over every key, for as long as this lives.
struct Silence(Termios);

impl Silence {
    fn begin() -> Result<Self, Failure> {
        let stdin = std::io::stdin();
        let fail = |errno: rustix::io::Errno| unreadable(errno.into());
        let before = termios::tcgetattr(stdin.as_fd()).map_err(fail)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(stdin.as_fd(), OptionalActions::Now, &silent).map_err(fail)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let stdin = std::io::stdin();
        // nothing else can be done about a terminal that went away
        let _ = termios::tcsetattr(stdin.as_fd(), OptionalActions::Flush, &self.0);
    }
}

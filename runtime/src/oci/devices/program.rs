//! A list of rules as a program of the kernel's (`BPF_PROG_TYPE_CGROUP_DEVICE`). Pure.
//!
//! The kernel hands it three numbers: the access that is asked for in the upper half and the kind of device in the lower half
//! of the first, then major and minor. The answer is 1 for yes and 0 for no. The rules come last to first; of the access
//! what was allowed is struck out, so that a rule decides only of what no later one has decided:
//!
//! ```text
//! kind, access, major, minor into registers
//! each rule:  another kind, major or minor?  next rule
//!   allows:   strike its access out; nothing left?  yes
//!   forbids:  some of its access left?  no
//! what the last one says of all the rest
//! ```
//!
//! The kernel refuses a program with instructions that nothing leads to: so it ends at the first rule that speaks of
//! everything, and an answer that nobody gives is left out.

use super::{ALWAYS, Rule};

// The instruction set: linux/bpf_common.h and linux/bpf.h.
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_BITS: u8 = 0x45;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

// Registers.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    /// How many instructions are jumped over, or where in memory a word is.
    offset: usize,
    number: i32,
}

#[derive(Debug, Default)]
struct Program {
    code: Vec<Instruction>,
    /// The jumps to either answer, whose places are not known before the end.
    to_yes: Vec<usize>,
    to_no: Vec<usize>,
}

/// The program of a list, as bytes for the kernel.
pub(super) fn of(rules: &[Rule]) -> Vec<u8> {
    let mut program = Program::default();
    program.load();
    let mut otherwise = false;
    for rule in rules.iter().chain(&ALWAYS).rev() {
        if rule.ends_the_list() {
            otherwise = rule.allow;
            break;
        }
        program.rule(rule);
    }
    program.answer(otherwise);
    program.answer(!otherwise);
    program.code.iter().flat_map(Instruction::bytes).collect()
}

impl Program {
    fn load(&mut self) {
        self.push(LOAD_WORD, KIND, CONTEXT, 0, 0);
        self.push(LOAD_WORD, MAJOR, CONTEXT, 4, 0);
        self.push(LOAD_WORD, MINOR, CONTEXT, 8, 0);
        self.push(COPY, ACCESS, KIND, 0, 0);
        self.push(AND_32, KIND, 0, 0, 0xffff);
        self.push(SHIFT_RIGHT_32, ACCESS, 0, 0, 16);
    }

    fn rule(&mut self, rule: &Rule) {
        if rule.access == 0 {
            return;
        }
        let conditions = [
            (KIND, rule.kind.map(|kind| kind as u32)),
            (MAJOR, rule.major),
            (MINOR, rule.minor),
        ];
        let first = self.code.len();
        for (register, wanted) in conditions {
            if let Some(wanted) = wanted {
                self.push(JUMP_UNLESS_EQUAL, register, 0, 0, wanted.cast_signed());
            }
        }
        let conditions = first..self.code.len();
        match rule.allow {
            true => {
                self.push(AND_32, ACCESS, 0, 0, !rule.access.cast_signed());
                self.to_yes.push(self.code.len());
                self.push(JUMP_IF_EQUAL, ACCESS, 0, 0, 0);
            }
            false => {
                self.to_no.push(self.code.len());
                self.push(JUMP_IF_BITS, ACCESS, 0, 0, rule.access.cast_signed());
            }
        }
        conditions.for_each(|at| self.land(at));
    }

    /// Appends an answer, when something leads to it: the first one is where the rules end.
    fn answer(&mut self, yes: bool) {
        let jumps = match yes {
            true => std::mem::take(&mut self.to_yes),
            false => std::mem::take(&mut self.to_no),
        };
        let is_first = self.code.last().is_none_or(|last| last.code != EXIT);
        if !is_first && jumps.is_empty() {
            return;
        }
        jumps.into_iter().for_each(|at| self.land(at));
        self.push(SET, ANSWER, 0, 0, i32::from(yes));
        self.push(EXIT, 0, 0, 0, 0);
    }

    fn push(&mut self, code: u8, to: u8, from: u8, offset: usize, number: i32) {
        self.code.push(Instruction {
            code,
            to,
            from,
            offset,
            number,
        });
    }

    /// Makes the jump at `at` lead to what comes next.
    fn land(&mut self, at: usize) {
        let end = self.code.len();
        if let Some(jump) = self.code.get_mut(at) {
            jump.offset = end - at - 1;
        }
    }
}

impl Instruction {
    /// `struct bpf_insn`: two registers share a byte, in the order of the machine's bit fields.
    fn bytes(&self) -> [u8; 8] {
        let registers = match cfg!(target_endian = "little") {
            true => self.from << 4 | self.to,
            false => self.to << 4 | self.from,
        };
        // No list is so long that a jump in it could not be said.
        let [low, high] = i16::try_from(self.offset).unwrap_or_default().to_ne_bytes();
        let [a, b, c, d] = self.number.to_ne_bytes();
        [self.code, registers, low, high, a, b, c, d]
    }
}

//! The words of a template made into a tree.

use serde_json::Value;

use super::DEPTH_MAX;
use super::functions::Function;
use super::scan::{Piece, Word};

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    /// Prints a value, or gives it to a variable.
    Print(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        list: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The variables that get the value: of a range the key and the element, or the element alone.
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

/// A value, or a function with its arguments.
#[derive(Debug)]
pub(super) enum Command {
    Value(Operand),
    Call(Function, Vec<Operand>),
}

/// What a command works on.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) of: Base,
    /// The fields below it, in order.
    pub(super) fields: Vec<String>,
}

/// Where an operand begins.
#[derive(Debug)]
pub(super) enum Base {
    Dot,
    /// The empty name is the whole value that the template is for.
    Variable(String),
    Constant(Value),
    Brackets(Box<Pipeline>),
}

/// Makes a tree of pieces.
pub(super) fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        variables: vec![String::new()],
    };
    match parser.block(0)? {
        (nodes, End::Text) => Ok(nodes),
        (_, End::End) => Err("there is an end without a beginning".to_owned()),
        (_, End::Else(_)) => Err("there is an else without an if".to_owned()),
    }
}

/// What ended a block.
enum End {
    Text,
    End,
    /// With what comes after the word: nothing, or `if` and a condition.
    Else(Vec<Word>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// Those that are known here.
    variables: Vec<String>,
}

impl Parser {
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, End), String> {
        check_depth(depth)?;
        let mut nodes = Vec::new();
        let known = self.variables.len();
        let end = loop {
            let words = match self.pieces.next() {
                None => break End::Text,
                Some(Piece::Text(text)) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(words)) => words,
            };
            match words.first() {
                Some(Word::Name(name)) if name == "end" && words.len() == 1 => break End::End,
                Some(Word::Name(name)) if name == "else" => break End::Else(words[1..].to_vec()),
                Some(Word::Name(name)) if ["if", "with", "range"].contains(&name.as_str()) => {
                    let name = name.clone();
                    nodes.push(self.branch(&name, &words[1..], depth)?);
                }
                _ => nodes.push(Node::Print(self.pipeline(&words, false, depth)?)),
            }
        };
        self.variables.truncate(known);
        Ok((nodes, end))
    }

    fn branch(&mut self, name: &str, words: &[Word], depth: usize) -> Result<Node, String> {
        let known = self.variables.len();
        let pipeline = self.pipeline(words, name == "range", depth)?;
        let (then, end) = self.block(depth + 1)?;
        let otherwise = match end {
            End::End => Vec::new(),
            End::Text => return Err(format!("the end of {name} is missing")),
            End::Else(words) if words.is_empty() => match self.block(depth + 1)? {
                (nodes, End::End) => nodes,
                _ => return Err(format!("the end of {name} is missing")),
            },
            // `else if` is an if of its own that shares our end.
            End::Else(words) => match words.split_first() {
                Some((Word::Name(next), rest)) if next == name && name != "range" => {
                    vec![self.branch(name, rest, depth + 1)?]
                }
                _ => return Err(format!("an else of {name} is malformed")),
            },
        };
        self.variables.truncate(known);
        Ok(match name {
            "if" => Node::If {
                condition: pipeline,
                then,
                otherwise,
            },
            "with" => Node::With {
                value: pipeline,
                then,
                otherwise,
            },
            _ => Node::Range {
                list: pipeline,
                then,
                otherwise,
            },
        })
    }

    /// `$x := …`, for a range also `$k, $v := …`, and commands with bars between them.
    fn pipeline(&mut self, words: &[Word], range: bool, depth: usize) -> Result<Pipeline, String> {
        check_depth(depth)?;
        let (variables, words) = match words {
            [Word::Variable(one), Word::Mark(":="), rest @ ..] => (vec![one.clone()], rest),
            [
                Word::Variable(key),
                Word::Mark(","),
                Word::Variable(element),
                Word::Mark(":="),
                rest @ ..,
            ] if range => (vec![key.clone(), element.clone()], rest),
            words => (Vec::new(), words),
        };
        let mut commands = Vec::new();
        let mut start = 0;
        let mut open = 0usize;
        for (at, word) in words.iter().enumerate() {
            match word {
                Word::Mark("(") => open += 1,
                Word::Mark(")") => {
                    open = open.checked_sub(1).ok_or("a bracket was never opened")?
                }
                Word::Mark("|") if open == 0 => {
                    commands.push(self.command(&words[start..at], commands.is_empty(), depth)?);
                    start = at + 1;
                }
                _ => {}
            }
        }
        if open > 0 {
            return Err("a bracket is not closed".to_owned());
        }
        commands.push(self.command(&words[start..], commands.is_empty(), depth)?);
        self.variables.extend(variables.iter().cloned());
        Ok(Pipeline {
            variables,
            commands,
        })
    }

    fn command(&mut self, words: &[Word], first: bool, depth: usize) -> Result<Command, String> {
        let mut rest = words;
        if let Some((Word::Name(name), arguments)) = words.split_first()
            && constant(name).is_none()
        {
            let function =
                Function::named(name).ok_or_else(|| format!("there is no function {name}"))?;
            rest = arguments;
            let mut operands = Vec::new();
            while !rest.is_empty() {
                let (operand, left) = self.operand(rest, depth)?;
                operands.push(operand);
                rest = left;
            }
            return Ok(Command::Call(function, operands));
        }
        if words.is_empty() {
            return Err("a value is missing".to_owned());
        }
        let (operand, left) = self.operand(rest, depth)?;
        match left.is_empty() && first {
            true => Ok(Command::Value(operand)),
            false if !first => Err("what stands after a bar is no function".to_owned()),
            false => Err("a value is not a function and takes no arguments".to_owned()),
        }
    }

    fn operand<'w>(
        &mut self,
        words: &'w [Word],
        depth: usize,
    ) -> Result<(Operand, &'w [Word]), String> {
        let (word, mut rest) = words.split_first().ok_or("a value is missing")?;
        let mut fields = Vec::new();
        let of = match word {
            Word::Field { name, .. } => {
                fields.extend(Some(name.clone()).filter(|name| !name.is_empty()));
                Base::Dot
            }
            Word::Variable(name) if self.variables.contains(name) => Base::Variable(name.clone()),
            Word::Variable(name) => return Err(format!("there is no variable ${name}")),
            Word::Text(text) => Base::Constant(Value::String(text.clone())),
            Word::Number(number) => Base::Constant(Value::Number(number.clone())),
            Word::Name(name) => match (constant(name), Function::named(name)) {
                (Some(value), _) => Base::Constant(value),
                (None, Some(_)) => return Err(format!("function {name} needs brackets there")),
                (None, None) => return Err(format!("there is no function {name}")),
            },
            Word::Mark("(") => {
                let end = closing(rest).ok_or("a bracket is not closed")?;
                let inner = self.pipeline(&rest[..end], false, depth + 1)?;
                if !inner.variables.is_empty() {
                    return Err("a variable cannot be made in brackets".to_owned());
                }
                rest = &rest[end + 1..];
                Base::Brackets(Box::new(inner))
            }
            Word::Mark(mark) => return Err(format!("unexpected {mark}")),
        };
        while let Some((Word::Field { name, glued: true }, left)) = rest.split_first() {
            if name.is_empty() {
                return Err("the name of a field is missing".to_owned());
            }
            fields.push(name.clone());
            rest = left;
        }
        Ok((Operand { of, fields }, rest))
    }
}

fn constant(name: &str) -> Option<Value> {
    match name {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        "nil" => Some(Value::Null),
        _ => None,
    }
}

/// Where the bracket closes that was opened just before `words`.
fn closing(words: &[Word]) -> Option<usize> {
    let mut open = 1usize;
    words.iter().position(|word| {
        match word {
            Word::Mark("(") => open += 1,
            Word::Mark(")") => open -= 1,
            _ => {}
        }
        open == 0
    })
}

fn check_depth(depth: usize) -> Result<(), String> {
    match depth {
        0..DEPTH_MAX => Ok(()),
        _ => Err(format!("it is nested more than {DEPTH_MAX} deep")),
    }
}

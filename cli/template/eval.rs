//! A template's tree and a value made into text.

use serde_json::Value;

use super::functions::{self, Function};
use super::parse::{Base, Command, Node, Operand, Pipeline};
use super::{OUTPUT_BYTES_MAX, STEPS_MAX};

/// How many fields a message lists.
const FIELDS_LISTED_MAX: usize = 60;

/// Prints `value` with the template.
pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, String> {
    let mut run = Run {
        whole: value,
        variables: Vec::new(),
        output: String::new(),
        steps: 0,
    };
    run.nodes(nodes, value)?;
    Ok(run.output)
}

struct Run<'a> {
    whole: &'a Value,
    variables: Vec<(String, Value)>,
    output: String,
    steps: u64,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let known = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        self.step()?;
        match node {
            Node::Text(text) => self.print(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match pipeline.variables.first() {
                    Some(name) => {
                        self.variables.push((name.clone(), value));
                        Ok(())
                    }
                    None => self.print(&functions::shown(&value)),
                }
            }
            Node::If {
                condition: value,
                then,
                otherwise,
            }
            | Node::With {
                value,
                then,
                otherwise,
            } => {
                let known = self.variables.len();
                let found = self.pipeline(value, dot)?;
                let variable = value.variables.first();
                self.variables
                    .extend(variable.map(|name| (name.clone(), found.clone())));
                let inner = if matches!(node, Node::With { .. }) {
                    &found
                } else {
                    dot
                };
                match functions::truth(&found) {
                    true => self.nodes(then, inner)?,
                    false => self.nodes(otherwise, dot)?,
                }
                self.variables.truncate(known);
                Ok(())
            }
            Node::Range {
                list,
                then,
                otherwise,
            } => self.range(list, then, otherwise, dot),
        }
    }

    fn range(
        &mut self,
        list: &Pipeline,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let elements: Vec<(Value, Value)> = match self.pipeline(list, dot)? {
            Value::Null => Vec::new(),
            Value::Array(list) => list
                .into_iter()
                .enumerate()
                .map(|(index, element)| (index.into(), element))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, element)| (key.into(), element))
                .collect(),
            other => {
                return Err(format!("cannot range over {}", functions::shown(&other)));
            }
        };
        if elements.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, element) in elements {
            self.step()?;
            let known = self.variables.len();
            match list.variables.as_slice() {
                [] => {}
                [only] => self.variables.push((only.clone(), element.clone())),
                [first, second, ..] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), element.clone()));
                }
            }
            self.nodes(then, &element)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for command in &pipeline.commands {
            self.step()?;
            piped = Some(match command {
                Command::Value(operand) => self.operand(operand, dot)?,
                Command::Call(function, operands) => self.call(*function, operands, piped, dot)?,
            });
        }
        Ok(piped.unwrap_or_default())
    }

    fn call(
        &mut self,
        function: Function,
        operands: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let mut arguments = Vec::new();
        for operand in operands {
            let value = self.operand(operand, dot)?;
            // What decides, decides; the rest need not even exist.
            if function.is_decided_by(&value) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        function.call(arguments)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        self.step()?;
        match &operand.of {
            Base::Dot => field(dot, &operand.fields),
            Base::Constant(value) => field(value, &operand.fields),
            Base::Variable(name) if name.is_empty() => field(self.whole, &operand.fields),
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.ok_or_else(|| format!("there is no variable ${name}"))?;
                field(value, &operand.fields)
            }
            Base::Brackets(pipeline) => field(&self.pipeline(pipeline, dot)?, &operand.fields),
        }
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        if self.output.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(format!("it makes more than {OUTPUT_BYTES_MAX} bytes"));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        match self.steps {
            0..=STEPS_MAX => Ok(()),
            _ => Err(format!("it takes more than {STEPS_MAX} steps")),
        }
    }
}

fn field(value: &Value, names: &[String]) -> Result<Value, String> {
    let mut value = value;
    for name in names {
        value = match value {
            Value::Object(map) => map.get(name).ok_or_else(|| {
                let known: Vec<&str> = map
                    .keys()
                    .map(String::as_str)
                    .take(FIELDS_LISTED_MAX)
                    .collect();
                match known.as_slice() {
                    [] => format!("there is no field {name}"),
                    known => format!("there is no field {name}; there are {}", known.join(", ")),
                }
            })?,
            Value::Null => return Err(format!("there is no field {name} in what is not there")),
            other => {
                return Err(format!(
                    "there is no field {name} in {}",
                    functions::shown(other)
                ));
            }
        };
    }
    Ok(value.clone())
}

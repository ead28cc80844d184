//! Merging: any layers merge to what the model says, or are refused where the model refuses them.
#![no_main]

#[path = "../../store/tests/model/mod.rs"]
mod model;
#[path = "../../store/tests/tars/mod.rs"]
mod tars;

use arbitrary::{Arbitrary, Result, Unstructured};
use berth_fuzz::{Place, with_place};
use libfuzzer_sys::fuzz_target;
use model::{Step, Wrong, flatten, merged, stored};

/// A short path of few names, so that entries meet: `l` and `m` tend to be links.
#[derive(Debug)]
struct Path(String);

impl<'a> Arbitrary<'a> for Path {
    fn arbitrary(from: &mut Unstructured<'a>) -> Result<Self> {
        let len = from.int_in_range(1..=4)?;
        let names = (0..len).map(|_| from.choose(&["a", "b", "c", "l", "m"]).copied());
        Ok(Self(names.collect::<Result<Vec<_>>>()?.join("/")))
    }
}

#[derive(Debug, Arbitrary)]
enum Entry {
    Root(bool),
    Dir(Path, bool),
    File(Path, u8),
    Link(Path, Target),
    TopLink(bool, Target),
    Hard(Path, Path),
    Whiteout(Path),
    Opaque(Path),
}

#[derive(Debug, Arbitrary)]
enum Target {
    Relative(Path),
    Absolute(Path),
    Up(Path),
    Root,
}

impl Target {
    fn text(&self) -> String {
        match self {
            Self::Relative(path) => path.0.clone(),
            Self::Absolute(path) => format!("/{}", path.0),
            Self::Up(path) => format!("../{}", path.0),
            Self::Root => "/".to_owned(),
        }
    }
}

impl Entry {
    fn step(&self) -> Step {
        let mode = |closed: &bool| if *closed { 0o700 } else { 0o1777 };
        match self {
            Self::Root(closed) => Step::Dir(String::new(), mode(closed)),
            Self::Dir(path, closed) => Step::Dir(path.0.clone(), mode(closed)),
            Self::File(path, byte) => Step::File(path.0.clone(), *byte),
            Self::Link(path, target) => Step::Link(path.0.clone(), target.text()),
            Self::TopLink(first, target) => {
                Step::Link(if *first { "l" } else { "m" }.to_owned(), target.text())
            }
            Self::Hard(path, target) => Step::Hard(path.0.clone(), target.0.clone()),
            Self::Whiteout(path) => Step::Whiteout(path.0.clone()),
            Self::Opaque(path) => Step::Opaque(path.0.clone()),
        }
    }
}

/// More would only be slower.
const LAYERS_MAX: usize = 5;
const STEPS_MAX: usize = 12;

fuzz_target!(|layers: Vec<Vec<Entry>>| {
    let steps = |layer: &Vec<Entry>| layer.iter().take(STEPS_MAX).map(Entry::step).collect();
    let layers: Vec<Vec<Step>> = layers.iter().take(LAYERS_MAX).map(steps).collect();
    with_place(|place| check(place, &layers));
});

fn check(place: &Place, layers: &[Vec<Step>]) {
    let model = merged(layers);
    if model == Err(Wrong::Ambiguous) {
        return;
    }
    match (model, stored(&place.repo, layers)) {
        (Ok(model), Ok(image)) => assert_eq!(flatten(&place.repo, image.root), model),
        (Err(_), Err(error)) => assert!(error.to_string().contains("malformed"), "{error}"),
        (Ok(model), Err(error)) => panic!("refused ({error}), but it is {model:?}"),
        (Err(_), Ok(image)) => panic!("not refused: {:?}", flatten(&place.repo, image.root)),
    }
}

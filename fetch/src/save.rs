//! Images of the store, on their way out: into an archive or to any other destination.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use store::{Image, Repo};

use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::lock::lock_in_place;
use crate::registry::RegistryOptions;
use crate::send::{Sending, Sent, send_image};
use crate::sink::{SinkOptions, open_sink};
use crate::stored::{Stored, origins};

/// How to let images out.
#[derive(Clone)]
pub struct SaveOptions<'a> {
    /// How many layers to send at a time.
    pub jobs: usize,
    /// How to talk to a registry; without it, there is none to send to.
    pub registry: Option<RegistryOptions>,
    /// A directory with room, for layers that are compressed anew.
    pub scratch: PathBuf,
    /// How long to wait for the repository's lock; `None` waits for ever.
    pub lock_timeout: Option<Duration>,
    /// Whom to tell.
    pub progress: Progress<'a>,
}

impl fmt::Debug for SaveOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveOptions")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Writes the images of those names, or ids, to one archive. Says of each what was sent.
pub fn save(
    repo: &Repo,
    names: &[String],
    destination: &Destination,
    options: &SaveOptions<'_>,
) -> Result<Vec<(Image, Sent)>> {
    out(repo, names, destination, options).map_err(|error| Error::Source {
        verb: "save",
        name: format!("{} to {destination}", names.join(", ")),
        source: Box::new(error),
    })
}

/// Sends the image of that name, or id, to `destination`; to the place that its own name says when there is none.
pub fn push(
    repo: &Repo,
    name: &str,
    destination: Option<&Destination>,
    options: &SaveOptions<'_>,
) -> Result<(Image, Destination, Sent)> {
    let own;
    let destination = match destination {
        Some(destination) => destination,
        None => {
            own = own_place(repo, name)?;
            &own
        }
    };
    let sent = out(repo, &[name.to_owned()], destination, options);
    let mut sent = sent.map_err(|error| Error::Source {
        verb: "push",
        name: format!("{name} to {destination}"),
        source: Box::new(error),
    })?;
    match sent.pop() {
        Some((image, sent)) => Ok((image, destination.clone(), sent)),
        None => Err(store::Error::NotFound {
            what: "image",
            name: name.to_owned(),
        }
        .into()),
    }
}

/// The registry that an image's name says.
fn own_place(repo: &Repo, name: &str) -> Result<Destination> {
    let image = store::find_image(repo, name)?;
    Ok(Destination::Registry(image.name.as_str().parse()?))
}

fn out(
    repo: &Repo,
    names: &[String],
    destination: &Destination,
    options: &SaveOptions<'_>,
) -> Result<Vec<(Image, Sent)>> {
    let progress = options.progress;
    let _lock = lock_in_place(repo, options.lock_timeout, progress)?;
    // what is not there is found before anything is written
    let images = names.iter().map(|name| store::find_image(repo, name));
    let images: Vec<Image> = images.collect::<store::Result<_>>()?;
    let known = match destination {
        Destination::Registry(reference) => origins(repo, &reference.host)?,
        _ => Vec::new(),
    };
    let into = SinkOptions {
        registry: options.registry.clone(),
        origins: known.into_iter().collect(),
    };
    let sink = open_sink(destination, &into, progress)?;
    let mut done = Vec::new();
    for image in images {
        let stored = Stored::new(repo, image);
        let image = stored.image();
        let sending = Sending {
            transport: &stored,
            sink: sink.as_ref(),
            jobs: options.jobs,
            scratch: &options.scratch,
            progress,
        };
        let name = Some(image.name.as_str());
        let sent = send_image(&sending, &image.manifest, Some(&image.config), true, name)?;
        done.push((image.clone(), sent));
    }
    sink.finish()?;
    Ok(done)
}

//! The image of a service: found, or pulled when it is missing or to be newer.

use fetch::Source;
use store::{Image, Lock, Repo};

use crate::cmd::pull::{self, PullFlags};
use crate::context::Context;
use crate::create::{find_here, own};
use crate::report::Failure;

/// An image with its repository, and what keeps it until a deployment does.
pub(crate) struct ServiceImage {
    /// The repository.
    pub(crate) repo: Repo,
    /// The image.
    pub(crate) image: Image,
    /// Where it was pulled from, as it was typed.
    pub(crate) source: Option<String>,
    _lock: Option<Lock>,
}

/// Finds the image; pulls it when it is missing, when the text says where from, or when it is to be newer.
pub(crate) fn find_image(
    context: &Context,
    flags: &PullFlags,
    text: &str,
    newer: bool,
) -> Result<ServiceImage, Failure> {
    let explicit = Source::is_explicit(text);
    let mut name = text.to_owned();
    let mut source = explicit.then(|| text.to_owned());
    if !newer
        && !explicit
        && let Some((repo, image, lock)) = find_here(&name, context)?
    {
        return finish(repo, image, None, lock, context);
    }
    let flags = flags.reaching(text);
    let pulled = flags.pull_source(context, &pull::parse(text)?, false)?;
    source.get_or_insert_with(|| text.to_owned());
    name = pulled.image.name.to_string();
    let repo = context.open_repo_of(&name)?;
    let lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, &name)?;
    finish(repo, image, source, lock, context)
}

fn finish(
    repo: Repo,
    image: Image,
    source: Option<String>,
    lock: Option<Lock>,
    context: &Context,
) -> Result<ServiceImage, Failure> {
    let (repo, image, lock) = own(repo, image, lock, context)?;
    Ok(ServiceImage {
        repo,
        image,
        source,
        _lock: lock,
    })
}

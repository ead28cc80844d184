//! `atomic images update`, also `atomic update`.

use std::process::ExitCode;

use store::Image;

use super::super::pull::PullHow;
use super::super::{find, layout, storage};
use crate::context::Context;
use crate::report::{Failure, note, out};

/// How much of a name and of an id is shown.
const CUT: [usize; 2] = [50, 32];

/// Pull the latest container image from its repository
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images update docker.io/library/busybox")]
pub(crate) struct UpdateArgs {
    /// Remove all containers based on this image; not in ostree
    #[arg(short, long)]
    force: bool,
    /// Update all the images
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    how: PullHow,
    /// An image
    image: Option<String>,
}

/// What became of one image.
struct Updated {
    name: String,
    before: String,
    after: String,
    is_new: bool,
    failed: bool,
}

/// Pulls images again.
pub(in super::super) fn update(args: UpdateArgs, context: &Context) -> Result<ExitCode, Failure> {
    let wrong = match (args.all, &args.image) {
        (true, Some(_)) => Some("Cannot specify both --all and an image name"),
        (true, None) if args.force => Some("Cannot specify both --all and --force"),
        (true, None) if args.how.storage.is_none() => Some("Please specify --storage"),
        (false, None) => Some("Please specify the image name"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Failure::new(wrong));
    }
    storage::check(args.how.storage.as_deref())?;
    let Some(name) = &args.image else {
        return update_all(&args, context);
    };
    let (_, image) = find::image(name, context)?
        .ok_or_else(|| Failure::new(format!("{name} not found locally.  Unable to update")))?;
    if args.force {
        return Err(Failure::new("--force is not supported by ostree images"));
    }
    args.how.pull(image.name.as_str(), context)?;
    Ok(ExitCode::SUCCESS)
}

fn update_all(args: &UpdateArgs, context: &Context) -> Result<ExitCode, Failure> {
    let images: Vec<Image> = match context.open_repo() {
        Ok(repo) => store::images(&repo)?,
        Err(_) => Vec::new(),
    };
    let mut all = Vec::new();
    for image in images {
        let name = image.name.to_string();
        if !find::is_qualified(&name) {
            note!("Image {name} not fully qualified: skipping");
            continue;
        }
        out!("Checking image {name}...")?;
        let pulled = args.how.pull(&name, context);
        let before = image.id.hex();
        let (after, is_new, failed) = match pulled {
            Ok(pulled) => {
                let now = pulled.image;
                (now.id.hex(), now.digest != image.digest, false)
            }
            Err(failure) => {
                if let (Some(words), _) = failure.into_words() {
                    note!("{words}");
                }
                (before.clone(), false, true)
            }
        };
        all.push(Updated {
            name,
            before,
            after,
            is_new,
            failed,
        });
    }
    summary(&all)?;
    Ok(ExitCode::SUCCESS)
}

fn summary(all: &[Updated]) -> Result<(), Failure> {
    let widths = [CUT[0], CUT[1], CUT[1], 15];
    out!("\nSUMMARY\n")?;
    let heading = [
        "Image",
        "Image ID before update",
        "Image ID after update",
        "Status",
    ];
    layout::line(&heading, &widths)?;
    for one in all {
        let status = match (one.failed, one.is_new) {
            (true, _) => layout::red("Could not pull"),
            (false, true) => layout::green("Updated now"),
            (false, false) => layout::green("Updated"),
        };
        let cells = [
            layout::cut(&one.name, CUT[0]),
            layout::cut(&one.before, CUT[1]),
            layout::cut(&one.after, CUT[1]),
        ];
        layout::line_with_status(&cells, &widths, &status)?;
    }
    Ok(())
}

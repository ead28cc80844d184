//! The tags of a repository, page by page.

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::LINK;
use serde::Deserialize;

use super::client::{Client, Request};
use super::{Access, RegistriesConf, RegistryOptions, broken, retry};
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::limits::{TAG_BYTES_MAX, TAGS_BYTES_MAX, TAGS_MAX, TAGS_PAGE};
use crate::transport::read_limited;
use store::Reference;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

/// Every tag of a repository, in the registry's order. Mirrors are not asked: they may lack some.
pub(crate) fn tags(
    reference: &Reference,
    options: &RegistryOptions,
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    let endpoint = RegistriesConf::read(&options.registries)?.itself(reference);
    let client = Client::open(&endpoint, Access::Pull, options, progress)?;
    list(
        &client,
        &format!("tags of {}", reference.repository),
        progress,
    )
}

fn list(client: &Client, what: &str, progress: Progress<'_>) -> Result<Vec<String>> {
    let mut tags = Vec::new();
    let mut query = format!("n={TAGS_PAGE}");
    loop {
        let request = Request::get(what, format!("tags/list?{query}"));
        let read = || {
            let answer = client.once(&request)?;
            let next = next_page(&answer);
            let body = read_limited(client.body(answer), TAGS_BYTES_MAX, || what.to_owned());
            Ok((next, body.map_err(|limited| broken(client, what, limited))?))
        };
        let (next, body) = retry::ask(client.patience(), what, progress, read)?;
        let found = page(&body, what)?;
        if next.is_some() && found.is_empty() {
            return Err(client.protocol("a page of its tags is empty, and not the last"));
        }
        if found.iter().any(|tag| tag.len() > TAG_BYTES_MAX) {
            return Err(client.protocol(&format!("a tag is over {TAG_BYTES_MAX} bytes")));
        }
        tags.extend(found);
        if tags.len() > TAGS_MAX {
            return Err(Error::too_large(what, format!("{TAGS_MAX} tags")));
        }
        match next {
            // Else it would go on for ever.
            Some(next) if next == query => {
                return Err(client.protocol("a page of its tags leads to itself"));
            }
            Some(next) => query = next,
            None => return Ok(tags),
        }
    }
}

fn page(body: &[u8], what: &str) -> Result<Vec<String>> {
    let page: Page = serde_json::from_slice(body)
        .map_err(|error| store::Error::malformed(what, error.to_string()))?;
    Ok(page.tags.unwrap_or_default())
}

/// The query of the page that follows. Only the query of the link counts, so that it leads to nobody else.
fn next_page(answer: &Response) -> Option<String> {
    let mut links = answer.headers().get_all(LINK).into_iter();
    let link = links.find_map(|link| next_link(link.to_str().ok()?))?;
    answer
        .url()
        .join(link)
        .ok()
        .as_ref()
        .and_then(Url::query)
        .map(str::to_owned)
}

/// The target of `<URL>; rel="next"` (RFC 8288), of several separated by commas.
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| {
            let parameter = parameter.trim().replace('"', "");
            parameter.eq_ignore_ascii_case("rel=next")
        };
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn links_are_read() {
        let table = [
            (
                r#"</v2/a/tags/list?last=b&n=1>; rel="next""#,
                Some("/v2/a/tags/list?last=b&n=1"),
            ),
            ("<x>; rel=prev, <y>; rel=next", Some("y")),
            ("<y>; title=a; REL=next", Some("y")),
            ("<y>", None),
            ("y; rel=next", None),
            ("", None),
        ];
        for (header, expected) in table {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }
}

//! Into a registry: blobs that it lacks, then manifests.
//!
//! ```text
//! HEAD blob ─► there: nothing to do
//!   └► POST uploads, with ?mount=…&from=… where another repository of the registry has it ─► 201: done
//!        └► 202, a session: small: PUT with all of it
//!                           large: PATCH, streamed ─► broken: GET how far it came, PATCH the rest ─► PUT
//! ```
//!
//! A session's URL is the registry's to choose, here or elsewhere; our credentials go only to the registry itself. The
//! registry holds the bytes to their digest when a session ends, so what was resumed is as sure as what was not.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::thread;

use reqwest::blocking::Response;
use reqwest::header::{
    ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE,
};
use reqwest::{Method, StatusCode, Url};
use store::oci::Descriptor;
use store::{Digest, Reference};

use super::client::{Call, Client};
use super::pipe::{Fed, send_piped};
use super::{Access, CONTENT_DIGEST, MANIFESTS, RegistriesConf, RegistryOptions, retry};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::{REDIRECTS_MAX, RESUME_PROGRESS_BYTES_MIN, UPLOAD_WHOLE_BYTES_MAX};
use crate::sink::{Opener, Outgoing, Sink};

/// A repository that is written to.
pub(crate) struct Upload<'p> {
    reference: Reference,
    client: Client,
    origins: HashMap<Digest, String>,
    /// Sessions that were begun by asking to take a blob over.
    sessions: Mutex<HashMap<Digest, Url>>,
    progress: Progress<'p>,
}

/// Why a piece of an upload failed.
enum Trouble {
    /// The bytes could not be had: there is no use in trying again.
    Source(Error),
    /// The registry, or the way to it.
    Wire(Error),
}

impl<'p> Upload<'p> {
    /// Prepares to write to the repository of `reference`; `origins` says which other one has a blob.
    pub(crate) fn open(
        reference: &Reference,
        options: &RegistryOptions,
        origins: HashMap<Digest, String>,
        progress: Progress<'p>,
    ) -> Result<Self> {
        let endpoint = RegistriesConf::read(&options.registries)?.itself(reference);
        Ok(Self {
            reference: reference.clone(),
            client: Client::open(&endpoint, Access::Push, options, progress)?,
            origins,
            sessions: Mutex::default(),
            progress,
        })
    }

    /// Makes a call again and again while the trouble may pass.
    fn patiently(&self, call: &Call, body: &[u8], what: &str) -> Result<Response> {
        retry::ask(self.client.patience(), what, self.progress, || {
            let answer = self.client.call(call, body)?;
            match retry::is_passing(answer.status().as_u16()) {
                true => self.client.success(answer, what),
                false => Ok(answer),
            }
        })
    }

    /// The answer if it is any success.
    fn success(&self, answer: Response, what: &str) -> Result<Response> {
        match answer.status().is_success() {
            true => Ok(answer),
            false => self.client.success(answer, what),
        }
    }

    /// Begins a session; `None` when the registry took the blob over from the repository `origin`.
    fn begin(&self, blob: &Descriptor, what: &str, origin: Option<&str>) -> Result<Option<Url>> {
        let mut url = self.client.url("blobs/uploads/")?;
        if let Some(origin) = origin {
            url.query_pairs_mut()
                .append_pair("mount", &blob.digest.to_string())
                .append_pair("from", origin);
        }
        let call = Call {
            method: Method::POST,
            url,
            headers: HeaderMap::new(),
        };
        let answer = self.success(self.patiently(&call, &[], what)?, what)?;
        match answer.status() {
            StatusCode::CREATED => Ok(None),
            _ => self.client.led_to(&answer).map(Some),
        }
    }

    /// Ends a session with the rest of the blob.
    fn close(&self, session: &Url, blob: &Descriptor, what: &str, rest: &[u8]) -> Result<()> {
        let mut url = session.clone();
        url.query_pairs_mut()
            .append_pair("digest", &blob.digest.to_string());
        let call = Call {
            method: Method::PUT,
            url,
            headers: octets(),
        };
        self.success(self.client.call(&call, rest)?, what).map(drop)
    }

    /// Sends a small blob in one go.
    fn whole(
        &self,
        session: &Url,
        blob: &Descriptor,
        bytes: &Opener<'_>,
        what: &str,
    ) -> Result<(), Trouble> {
        let mut all = Vec::new();
        bytes(0)
            .and_then(|mut from| {
                from.read_to_end(&mut all)
                    .map_err(|source| Error::from_read(what, source))
            })
            .map_err(Trouble::Source)?;
        self.close(session, blob, what, &all).map_err(Trouble::Wire)
    }

    /// Streams a blob from `at` on; returns where the session goes on.
    fn stream(
        &self,
        session: &Url,
        blob: &Descriptor,
        at: u64,
        bytes: &Opener<'_>,
        progress: Progress<'_>,
    ) -> Result<Url, Trouble> {
        let mut headers = octets();
        if at > 0 {
            let range = format!("{at}-{}", blob.size - 1);
            headers.extend(HeaderValue::from_str(&range).map(|range| (CONTENT_RANGE, range)));
        }
        let mut call = Call {
            method: Method::PATCH,
            url: session.clone(),
            headers,
        };
        let what = format!("blob {}", blob.digest);
        for _ in 0..=REDIRECTS_MAX {
            let from = bytes(at).map_err(Trouble::Source)?;
            let answer = match send_piped(&self.client, &call, from, blob, at, progress) {
                Fed::Answered(answer) => answer.map_err(Trouble::Wire)?,
                Fed::Starved(error) => return Err(Trouble::Source(error)),
            };
            if !answer.status().is_redirection() {
                let answer = self.success(answer, &what).map_err(Trouble::Wire)?;
                return self.client.led_to(&answer).map_err(Trouble::Wire);
            }
            call.url = self.client.led_to(&answer).map_err(Trouble::Wire)?;
        }
        let why = format!("it redirects more than {REDIRECTS_MAX} times");
        Err(Trouble::Wire(self.client.protocol(&why)))
    }

    /// How far a session came, and where it goes on; `None` when it is no more.
    fn status(&self, session: &Url) -> Option<(Url, u64)> {
        let call = Call {
            method: Method::GET,
            url: session.clone(),
            headers: HeaderMap::new(),
        };
        let answer = self.patiently(&call, &[], "an upload").ok()?;
        if answer.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let range = answer.headers().get(RANGE)?.to_str().ok()?;
        let last: u64 = range
            .trim_start_matches("bytes=")
            .split_once('-')?
            .1
            .parse()
            .ok()?;
        // an empty session says `0-0` too: what may be one byte is none
        let at = if last == 0 { 0 } else { last.checked_add(1)? };
        Some((self.client.led_to(&answer).ok()?, at))
    }

    /// Sends a blob into a session and ends it.
    fn fill(
        &self,
        mut session: Url,
        blob: &Descriptor,
        bytes: &Opener<'_>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let what = format!("blob {}", blob.digest);
        let (mut at, mut troubles, mut since) = (0, 0, 0);
        loop {
            let done = match blob.size <= UPLOAD_WHOLE_BYTES_MAX {
                true => self.whole(&session, blob, bytes, &what),
                false if at == blob.size => self
                    .close(&session, blob, &what, &[])
                    .map_err(Trouble::Wire),
                false => self
                    .stream(&session, blob, at, bytes, progress)
                    .and_then(|next| self.close(&next, blob, &what, &[]).map_err(Trouble::Wire)),
            };
            let error = match done {
                Ok(()) => return Ok(()),
                Err(Trouble::Source(error)) => return Err(error),
                Err(Trouble::Wire(error))
                    if troubles == self.client.patience().resumes_max || !may_pass(&error) =>
                {
                    return Err(error);
                }
                Err(Trouble::Wire(error)) => error,
            };
            let why = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), |cause| cause.to_string());
            progress(Event::Retry {
                what: &what,
                why: &why,
            });
            troubles += 1;
            thread::sleep(retry::doubled(self.client.patience().backoff, troubles));
            // a session that ended well or was refused for its bytes is not taken up again
            let resumable = blob.size > UPLOAD_WHOLE_BYTES_MAX && !is_refusal(&error);
            match resumable.then(|| self.status(&session)).flatten() {
                Some((next, come)) if come <= blob.size => (session, at) = (next, come),
                _ if self.has_blob(blob)? => return Ok(()),
                _ => match self.begin(blob, &what, None)? {
                    Some(next) => (session, at) = (next, 0),
                    None => return Ok(()),
                },
            }
            if at.saturating_sub(since) >= RESUME_PROGRESS_BYTES_MIN {
                troubles = 0;
            }
            since = since.max(at);
        }
    }

    fn manifest_url(&self, manifest: &Outgoing<'_>) -> Result<Url> {
        let name = match (&self.reference.tag, manifest.is_root) {
            (Some(tag), true) => tag.clone(),
            _ => manifest.digest.to_string(),
        };
        self.client.url(&format!("manifests/{name}"))
    }
}

fn octets() -> HeaderMap {
    one(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    )
}

fn one(name: HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value)])
}

/// Whether trying again may help: the way broke, the session is gone, or what was resumed did not fit.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unreachable { source, .. } => source.is_passing(),
        Error::NotFound { .. } => true,
        // credentials may have run out, and asking how far it came renews them
        Error::Unauthorized { .. } => true,
        Error::Http { status, .. } => matches!(*status, 400 | 408 | 416 | 429) || *status >= 500,
        _ => false,
    }
}

/// Whether the registry answered that the bytes, or their place, are wrong.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
        || matches!(
            error,
            Error::Http {
                status: 400 | 416,
                ..
            }
        )
}

impl Sink for Upload<'_> {
    fn has_manifest(&self, manifest: &Outgoing<'_>) -> Result<bool> {
        let call = Call {
            method: Method::HEAD,
            url: self.manifest_url(manifest)?,
            headers: one(ACCEPT, HeaderValue::from_static(MANIFESTS)),
        };
        let what = format!("manifest {}", manifest.digest);
        let answer = self.patiently(&call, &[], &what)?;
        let found = answer.headers().get(CONTENT_DIGEST);
        let found = found.and_then(|digest| digest.to_str().ok());
        Ok(answer.status() == StatusCode::OK && found == Some(&manifest.digest.to_string()))
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let call = Call {
            method: Method::HEAD,
            url: self.client.url(&format!("blobs/{}", blob.digest))?,
            headers: HeaderMap::new(),
        };
        let what = format!("blob {}", blob.digest);
        let answer = self.patiently(&call, &[], &what)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => self.success(answer, &what).map(|_| true),
        }
    }

    fn take_over(&self, blob: &Descriptor) -> Result<bool> {
        let known = self.origins.get(&blob.digest);
        let Some(origin) = known.filter(|origin| **origin != self.reference.repository) else {
            return Ok(false);
        };
        // the registry wants to know that we may read it there
        self.client.authorizer().want(origin, Access::Pull);
        let session = self.begin(blob, &format!("blob {}", blob.digest), Some(origin))?;
        let taken_over = session.is_none();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.extend(session.map(|session| (blob.digest, session)));
        Ok(taken_over)
    }

    fn put_blob(
        &self,
        blob: &Descriptor,
        bytes: &Opener<'_>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let what = format!("blob {}", blob.digest);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = sessions.remove(&blob.digest);
        drop(sessions);
        let session = match begun {
            Some(session) => Some(session),
            None => self.begin(blob, &what, None)?,
        };
        match session {
            Some(session) => self.fill(session, blob, bytes, progress),
            None => Ok(()),
        }
    }

    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()> {
        let what = format!("manifest {}", manifest.digest);
        if let Some(wanted) = self.reference.digest.filter(|_| manifest.is_root)
            && wanted != manifest.digest
        {
            let what = format!("digest of image {}", self.reference);
            return Err(Error::mismatch(what, wanted, manifest.digest));
        }
        let malformed = || self.client.protocol("its media type is malformed");
        let kind = HeaderValue::from_str(manifest.media_type).map_err(|_| malformed())?;
        let call = Call {
            method: Method::PUT,
            url: self.manifest_url(manifest)?,
            headers: one(CONTENT_TYPE, kind),
        };
        self.success(self.patiently(&call, manifest.raw, &what)?, &what)
            .map(drop)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

//! Requests that are no `GET`: they have a body, may go to a URL of the registry's choice, and are sent again only where
//! whoever makes them says so.
//!
//! Credentials go to the registry itself alone, and only it is answered when it asks for some.

use std::time::Duration;

use reqwest::blocking::{Body, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::Client;
use crate::error::Result;
use crate::limits::{AUTHORIZATIONS_MAX, REDIRECTS_MAX};

/// A request that is no `GET`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What is done.
    pub(crate) method: Method,
    /// To what.
    pub(crate) url: Url,
    /// More headers.
    pub(crate) headers: HeaderMap,
}

impl Client {
    /// The URL of `path` below `/v2/<repository>/`.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        self.base
            .join(&format!("v2/{}/{path}", self.repository))
            .map_err(|_| self.protocol("its URL is malformed"))
    }

    /// Makes a call with a small body, follows where it leads, and makes it once more when the registry asked for
    /// authorization and got it. Returns whatever the answer is.
    pub(crate) fn call(&self, call: &Call, body: &[u8]) -> Result<Response> {
        let mut call = call.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.call_authorized(&call, body)?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            call.url = self.led_to(&answer)?;
        }
        Err(self.protocol(&format!("it redirects more than {REDIRECTS_MAX} times")))
    }

    /// Makes a call, and again when the registry asked for authorization and got it.
    fn call_authorized(&self, call: &Call, body: &[u8]) -> Result<Response> {
        let mut round = 0;
        loop {
            let used = self.authorizer.current(self)?;
            let answer = self.call_once(call, body.to_vec().into(), self.patience.silence)?;
            if answer.status() != StatusCode::UNAUTHORIZED
                || round == AUTHORIZATIONS_MAX
                || !self.authorizer.renew(self, &answer, used.as_ref(), round)?
            {
                return Ok(answer);
            }
            round += 1;
        }
    }

    /// Makes a call once, with the authorization that worked last if it goes to the registry itself. `timeout` is for
    /// all of it.
    pub(crate) fn call_once(&self, call: &Call, body: Body, timeout: Duration) -> Result<Response> {
        let mut builder = self
            .http
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone())
            .timeout(timeout)
            .body(body);
        if self.is_own(&call.url)
            && let Some(value) = self.authorizer.current(self)?
        {
            builder = builder.header(AUTHORIZATION, value.expose());
        }
        builder
            .send()
            .map_err(|error| self.unreachable(&call.url, &error))
    }

    /// Where an answer leads to.
    pub(crate) fn led_to(&self, answer: &Response) -> Result<Url> {
        let target = answer
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        let Some(Ok(next)) = target.map(|target| answer.url().join(target)) else {
            return Err(self.protocol("a redirect leads nowhere"));
        };
        if next.scheme() != "https" && next.scheme() != answer.url().scheme() {
            return Err(self.protocol("a redirect leads away from TLS"));
        }
        Ok(next)
    }
}

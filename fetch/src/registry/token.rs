//! Tokens: asked for at the service that the registry names, and good for a while.
//!
//! A GET with Basic credentials or with none, or a POST that trades a refresh token
//! ([token](https://distribution.github.io/distribution/spec/auth/token/) and
//! [oauth](https://distribution.github.io/distribution/spec/auth/oauth/) of the distribution project). Either goes only
//! over TLS, or to the very host that is the registry where that is spoken to in plain HTTP.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::Network;
use super::client::{Client, Request, authority};
use super::credentials::Credentials;
use super::scope::Scopes;
use super::secret::Secret;
use crate::error::{Error, Result};
use crate::limits::{TOKEN_BYTES_MAX, TOKEN_LIFETIME};
use crate::transport::read_limited;

/// The thing, for messages.
const WHAT: &str = "a token";

/// Who gives tokens for a registry.
#[derive(Debug)]
pub(crate) struct TokenService {
    realm: Url,
    service: Option<String>,
}

/// A token, and how long it is good for.
#[derive(Debug)]
pub(crate) struct Token {
    value: Secret,
    received: Instant,
    lifetime: Duration,
}

#[derive(Deserialize)]
struct Reply {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    issued_at: Option<String>,
}

impl Token {
    /// The token.
    pub(crate) fn value(&self) -> &Secret {
        &self.value
    }

    /// Whether it has not expired, as far as we know.
    pub(crate) fn is_fresh(&self) -> bool {
        self.received.elapsed() < self.lifetime
    }
}

impl TokenService {
    /// The service at `realm`, as a challenge names it.
    pub(crate) fn new(registry: &Client, realm: &str, service: Option<String>) -> Result<Self> {
        let realm = Url::parse(realm)
            .map_err(|_| registry.protocol("the URL of its token service is malformed"))?;
        let is_itself = registry.is_plain() && realm.host_str() == registry.host_name();
        if realm.scheme() != "https" && !(realm.scheme() == "http" && is_itself) {
            return Err(registry.protocol("its token service does not speak TLS"));
        }
        Ok(Self { realm, service })
    }

    /// Asks for a token that is good for all of `scopes`.
    pub(crate) fn token(
        &self,
        registry: &Client,
        credentials: Option<&Credentials>,
        scopes: &Scopes,
    ) -> Result<Token> {
        let answer = match credentials.and_then(Credentials::identity_token) {
            Some(refresh) => self.post(registry, refresh, scopes)?,
            None => self.get(registry, credentials, scopes)?,
        };
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(registry.protocol("its token service is not there"));
        }
        let answer = registry.success(answer, WHAT)?;
        let date = answer.headers().get(DATE).and_then(|it| it.to_str().ok());
        let date = date.and_then(http_date);
        let body = read_limited(registry.body(answer), TOKEN_BYTES_MAX, || "token".into())
            .map_err(|limited| {
                limited.or(|error| Error::Broken {
                    what: WHAT.into(),
                    host: authority(&self.realm),
                    source: Network::of(&error),
                })
            })?;
        let malformed = || registry.protocol("its token is malformed");
        let reply: Reply = serde_json::from_slice(&body).map_err(|_| malformed())?;
        let lifetime = lifetime(&reply, date);
        let token = [reply.token, reply.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty());
        let token = token.ok_or_else(|| registry.protocol("its token service gave no token"))?;
        if !is_token(&token) {
            return Err(malformed());
        }
        Ok(Token {
            value: Secret::new(token),
            received: Instant::now(),
            lifetime,
        })
    }

    fn get(
        &self,
        registry: &Client,
        credentials: Option<&Credentials>,
        scopes: &Scopes,
    ) -> Result<Response> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes.iter() {
                query.append_pair("scope", &scope);
            }
            if let Some(credentials) = credentials {
                query.append_pair("account", credentials.user());
            }
        }
        let basic = credentials.and_then(Credentials::basic);
        let request = Request::get(WHAT, "");
        registry.follow(&url, basic.as_ref().map(Secret::expose), &request)
    }

    /// Trades a refresh token. A redirect is not followed: the body holds the secret.
    fn post(&self, registry: &Client, refresh: &Secret, scopes: &Scopes) -> Result<Response> {
        // a URL without anything else is the way to write a form
        let mut form = self.realm.clone();
        form.set_query(None);
        let scopes: Vec<String> = scopes.iter().collect();
        {
            let mut pairs = form.query_pairs_mut();
            pairs.append_pair("grant_type", "refresh_token");
            pairs.append_pair("refresh_token", refresh.expose());
            pairs.append_pair("client_id", "berth");
            if let Some(service) = &self.service {
                pairs.append_pair("service", service);
            }
            if !scopes.is_empty() {
                pairs.append_pair("scope", &scopes.join(" "));
            }
        }
        let body = form.query().unwrap_or_default().to_owned();
        let request = registry
            .http()
            .post(self.realm.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let answer = request
            .send()
            .map_err(|error| registry.unreachable(&self.realm, &error))?;
        if answer.status().is_redirection() {
            return Err(registry.protocol("its token service redirects a refresh token"));
        }
        Ok(answer)
    }
}

/// Whether a text can be sent as a token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How long a token is good for from now on. When it was issued counts from the service's own clock, not from ours.
fn lifetime(reply: &Reply, now: Option<Timestamp>) -> Duration {
    let seconds = reply.expires_in.as_ref().and_then(|it| it.as_u64());
    let lifetime = match seconds {
        None | Some(0) => TOKEN_LIFETIME,
        Some(seconds) => Duration::from_secs(seconds),
    };
    let issued = reply.issued_at.as_ref();
    let issued = issued.and_then(|text| text.parse::<Timestamp>().ok());
    let age = issued
        .zip(now)
        .map(|(issued, now)| now.duration_since(issued));
    // before it was issued, its age is negative
    let age = age.and_then(|age| Duration::try_from(age).ok());
    lifetime.saturating_sub(age.unwrap_or_default())
}

/// The time of a `Date` header.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read() {
        let now = http_date("Sun, 22 Nov 2026 12:00:00 GMT");
        assert!(now.is_some());
        let table = [
            (r#"{}"#, 60),
            (r#"{"expires_in":300}"#, 300),
            (r#"{"expires_in":0}"#, 60),
            (r#"{"expires_in":-1}"#, 60),
            (r#"{"expires_in":"soon"}"#, 60),
            (
                r#"{"expires_in":300,"issued_at":"2026-11-22T11:59:00Z"}"#,
                240,
            ),
            (
                r#"{"expires_in":300,"issued_at":"2026-11-22T12:59:00.5+01:00"}"#,
                240,
            ),
            (
                r#"{"expires_in":300,"issued_at":"2025-01-01T00:00:00Z"}"#,
                0,
            ),
            (
                r#"{"expires_in":300,"issued_at":"2026-11-22T12:10:00Z"}"#,
                300,
            ),
            (r#"{"expires_in":300,"issued_at":"yesterday"}"#, 300),
        ];
        for (reply, seconds) in table {
            let reply: Reply = serde_json::from_str(reply).expect(reply);
            let found = lifetime(&reply, now);
            assert_eq!(found.as_secs(), seconds, "{:?}", reply.issued_at);
        }
        let reply = r#"{"expires_in":18446744073709551615,"issued_at":"2026-11-22T11:59:00Z"}"#;
        let reply: Reply = serde_json::from_str(reply).expect(reply);
        assert_eq!(lifetime(&reply, None).as_secs(), u64::MAX);
    }

    #[test]
    fn tokens_fit_a_header() {
        for (text, fits) in [
            ("abc.DEF-_~+/=", true),
            ("", false),
            ("a b", false),
            ("a\r\nX: y", false),
            ("é", false),
        ] {
            assert_eq!(is_token(text), fits, "{text:?}");
        }
    }
}

//! Standing with a registry: nothing at first, then what it asked for.
//!
//! The header that works is kept for all further requests; when it stops working (tokens expire within minutes), one
//! thread gets another and the rest use that. A token is asked for only over TLS, or from the registry itself.

use std::sync::{Mutex, PoisonError};

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::WWW_AUTHENTICATE;
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::client::{Client, Request};
use super::credentials::Credentials;
use super::{Access, Network};
use crate::error::{Error, Result};
use crate::limits::TOKEN_BYTES_MAX;
use crate::transport::read_limited;

/// What we send as `Authorization`, and how we get it.
#[derive(Debug)]
pub(crate) struct Authorizer {
    credentials: Option<Credentials>,
    scope: String,
    header: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
}

impl Authorizer {
    /// For one repository.
    pub(crate) fn new(credentials: Option<Credentials>, repository: &str, access: Access) -> Self {
        Self {
            credentials,
            scope: format!("repository:{repository}:{}", access.actions()),
            header: Mutex::new(None),
        }
    }

    /// The header that worked last.
    pub(crate) fn current(&self) -> Option<String> {
        self.header
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers a 401 that `used` brought. Returns whether there is something new to try.
    pub(crate) fn renew(
        &self,
        registry: &Client,
        refusal: &Response,
        used: Option<&str>,
    ) -> Result<bool> {
        let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        if header.as_deref() != used {
            return Ok(true);
        }
        let challenges: Vec<Challenge> = refusal
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        for challenge in challenges {
            let fresh = match (challenge, &self.credentials) {
                (
                    Challenge::Bearer {
                        realm,
                        service,
                        scope,
                    },
                    _,
                ) => {
                    let scope = scope.unwrap_or_else(|| self.scope.clone());
                    format!(
                        "Bearer {}",
                        self.token(registry, &realm, service.as_deref(), &scope)?
                    )
                }
                (Challenge::Basic, Some(credentials)) if used.is_none() => credentials.basic(),
                (Challenge::Basic, _) => continue,
            };
            *header = Some(fresh);
            return Ok(true);
        }
        Ok(false)
    }

    fn token(
        &self,
        registry: &Client,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<String> {
        let mut url = Url::parse(realm)
            .map_err(|_| registry.protocol("the URL of its token service is malformed"))?;
        if url.scheme() != "https"
            && !(registry.is_plain() && url.host_str() == registry.host_name())
        {
            return Err(registry.protocol("its token service does not speak TLS"));
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", scope);
            if let Some(credentials) = &self.credentials {
                query.append_pair("account", credentials.user());
            }
        }
        let request = Request::get("a token", "");
        let authorization = self.credentials.as_ref().map(Credentials::basic);
        let answer = registry.success(
            registry.follow(&url, authorization.as_deref(), &request)?,
            request.what,
        )?;
        let body = registry.body(answer);
        let body = read_limited(body, TOKEN_BYTES_MAX, || "token".into()).map_err(|limited| {
            limited.or(|error| Error::Broken {
                what: "a token".into(),
                host: registry.host().to_owned(),
                source: Network::of(&error),
            })
        })?;
        let reply: TokenReply = serde_json::from_slice(&body)
            .map_err(|_| registry.protocol("its token is malformed"))?;
        let token = [reply.token, reply.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty());
        token.ok_or_else(|| registry.protocol("its token service gave no token"))
    }
}

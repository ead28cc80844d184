//! Standing with a registry: nothing at first, then what it asked for.
//!
//! The header that works is kept for all further requests. A token is renewed when it has expired or stops working: one
//! thread gets another, for all scopes that are needed by now, and the rest use that. Only the registry itself can ask
//! for anything: whoever a redirect leads to cannot.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::Access;
use super::challenge::{self, Challenge};
use super::client::Client;
use super::credentials::Credentials;
use super::scope::Scopes;
use super::secret::Secret;
use super::token::{Token, TokenService, is_token};
use crate::error::Result;
use crate::limits::CHALLENGES_MAX;

/// What we send as `Authorization`, and how we get it.
#[derive(Debug)]
pub(crate) struct Authorizer {
    credentials: Option<Credentials>,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// What tokens have to be good for.
    scopes: Scopes,
    /// Who gave the last token.
    service: Option<TokenService>,
    held: Option<Held>,
}

/// What the registry accepts.
#[derive(Debug)]
enum Held {
    /// A whole header, which does not expire.
    Header(Secret),
    /// A token.
    Token(Token),
}

impl Held {
    fn header(&self) -> Secret {
        match self {
            Self::Header(header) => header.clone(),
            Self::Token(token) => bearer(token.value()),
        }
    }

    fn is_fresh(&self) -> bool {
        match self {
            Self::Header(_) => true,
            Self::Token(token) => token.is_fresh(),
        }
    }
}

fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

impl Authorizer {
    /// For a registry of which nothing is wanted yet.
    pub(crate) fn new(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            standing: Mutex::default(),
        }
    }

    /// Wants this access as well, from the next request on.
    pub(crate) fn want(&self, repository: &str, access: Access) {
        let mut standing = self.lock();
        let Some(scope) = access.scope(repository) else {
            return;
        };
        if standing.scopes.add(&scope) && matches!(standing.held, Some(Held::Token(_))) {
            standing.held = None;
        }
    }

    /// The header to send, if anything is known to be needed. A token that has expired is replaced.
    pub(crate) fn current(&self, registry: &Client) -> Result<Option<Secret>> {
        let mut standing = self.lock();
        if !standing.held.as_ref().is_some_and(Held::is_fresh)
            && let Some(service) = &standing.service
        {
            let token = service.token(registry, self.credentials.as_ref(), &standing.scopes)?;
            standing.held = Some(Held::Token(token));
        }
        Ok(standing.held.as_ref().map(Held::header))
    }

    /// Answers a 401 that `used` brought, in the `round`th attempt, from 0, to send one request. Returns whether there
    /// is something new to try.
    pub(crate) fn renew(
        &self,
        registry: &Client,
        refusal: &Response,
        used: Option<&Secret>,
        round: u32,
    ) -> Result<bool> {
        let mut standing = self.lock();
        if !registry.is_own(refusal.url()) {
            return Ok(false);
        }
        if standing.held.as_ref().map(Held::header).as_ref() != used {
            return Ok(true);
        }
        for challenge in challenges(refusal.headers()) {
            let answer = match challenge {
                Challenge::Basic => self.basic(used),
                Challenge::Bearer {
                    realm,
                    service,
                    scope,
                } => {
                    let wants_more =
                        used.is_some() && standing.scopes.add(&scope.unwrap_or_default());
                    match self.registry_token(registry)? {
                        Some(token) => Some(token)
                            .filter(|token| used != Some(token))
                            .map(Held::Header),
                        None if round > 0 && !wants_more => None,
                        None => {
                            let service = TokenService::new(registry, &realm, service)?;
                            let token = service.token(
                                registry,
                                self.credentials.as_ref(),
                                &standing.scopes,
                            )?;
                            standing.service = Some(service);
                            Some(Held::Token(token))
                        }
                    }
                }
            };
            if answer.is_some() {
                standing.held = answer;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn basic(&self, used: Option<&Secret>) -> Option<Held> {
        let header = self.credentials.as_ref()?.basic()?;
        (used != Some(&header)).then_some(Held::Header(header))
    }

    /// The header of a token that was given to us as it is.
    fn registry_token(&self, registry: &Client) -> Result<Option<Secret>> {
        let token = self.credentials.as_ref();
        let Some(token) = token.and_then(Credentials::registry_token) else {
            return Ok(None);
        };
        match is_token(token.expose()) {
            true => Ok(Some(bearer(token))),
            false => Err(registry.protocol("the registrytoken that is kept for it is malformed")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first challenges of an answer.
fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(challenge::parse)
        .take(CHALLENGES_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn no_more_challenges_than_the_limit() {
        let header = |count: usize| {
            let text = vec!["Basic realm=x"; count].join(", ");
            HeaderValue::from_str(&text).expect("header")
        };
        for (first, second, seen) in [
            (CHALLENGES_MAX, 0, CHALLENGES_MAX),
            (CHALLENGES_MAX, 1, CHALLENGES_MAX),
            (CHALLENGES_MAX + 1, 0, CHALLENGES_MAX),
            (CHALLENGES_MAX - 2, 1, CHALLENGES_MAX - 1),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(WWW_AUTHENTICATE, header(first));
            headers.append(WWW_AUTHENTICATE, header(second));
            assert_eq!(challenges(&headers).len(), seen, "{first} and {second}");
        }
    }
}

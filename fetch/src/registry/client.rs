//! One registry over HTTP: requests that are authorized, redirected, retried and checked.
//!
//! Redirects are followed here and not by the HTTP client: `Authorization` goes only to the origin that asked for it
//! (a blob store behind a signed URL refuses it, a stranger must not see it), and nothing leads from TLS to plain HTTP.
//! Whether the registry is spoken to in plain HTTP is decided once, when the client is made: only where the user allows
//! it or the registry is on the loopback, and only after TLS was tried.

mod call;

use std::io::Read as _;
use std::sync::Arc;

use reqwest::blocking::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE};
use reqwest::{StatusCode, Url};

pub(crate) use self::call::Call;

use super::auth::Authorizer;
use super::endpoint::Endpoint;
use super::flow::Flow;
use super::proxy::ProxyRules;
use super::retry::{self, Patience};
use super::secret::Secret;
use super::{Access, Network, RegistryOptions, dns, is_loopback, tls};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::{
    AUTHORIZATIONS_MAX, ERROR_BODY_BYTES_MAX, ERROR_DETAIL_CHARS_MAX, REDIRECTS_MAX,
};

/// A registry, and our standing with it.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::blocking::Client,
    base: Url,
    host: String,
    repository: String,
    proxies: ProxyRules,
    authorizer: Authorizer,
    patience: Patience,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// The thing, for messages, e.g. `layer sha256:…`.
    pub(crate) what: &'a str,
    /// The path below `/v2/<repository>/`.
    pub(crate) path: String,
    /// The media types that are understood.
    pub(crate) accept: Option<&'a str>,
    /// The first byte that is wanted.
    pub(crate) offset: u64,
    /// The ranges that are wanted, as the header has them, instead of everything from `offset` on.
    pub(crate) ranges: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Asks for all of `path`.
    pub(crate) fn get(what: &'a str, path: impl Into<String>) -> Self {
        Self {
            what,
            path: path.into(),
            accept: None,
            offset: 0,
            ranges: None,
        }
    }
}

impl Client {
    /// Prepares to talk to the registry of `endpoint`, and finds out whether it speaks TLS where that is open.
    pub(crate) fn open(
        endpoint: &Endpoint,
        access: Access,
        options: &RegistryOptions,
        progress: Progress<'_>,
    ) -> Result<Self> {
        endpoint.allowed()?;
        let reference = &endpoint.reference;
        let host = match reference.host.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let insecure = match options.tls_verify {
            Some(verify) => !verify,
            None => endpoint.insecure,
        };
        let base = parse_url(host, &format!("https://{host}/"))?;
        let credentials = options.credentials_for(reference)?;
        let proxies = ProxyRules::new(&options.proxies)?;
        let mut client = Self {
            http: http(options, &proxies, &reference.host, insecure)?,
            host: authority(&base),
            base,
            repository: reference.repository.clone(),
            proxies,
            authorizer: Authorizer::new(credentials),
            patience: options.patience.clone(),
        };
        client.authorizer.want(&reference.repository, access);
        if insecure || (is_loopback(host) && options.tls_verify.is_none()) {
            client.fall_back(progress)?;
        }
        Ok(client)
    }

    /// The host with its port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The host without its port.
    pub(crate) fn host_name(&self) -> Option<&str> {
        self.base.host_str()
    }

    /// Whether a URL is the registry's own.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// What sends requests that are not for the registry itself.
    pub(crate) fn http(&self) -> &reqwest::blocking::Client {
        &self.http
    }

    /// Whether the registry is spoken to in plain HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Our standing with it.
    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// How patient to be.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Sends a request until it is answered, and returns the answer if it is a success.
    pub(crate) fn get(&self, request: &Request<'_>, progress: Progress<'_>) -> Result<Response> {
        retry::ask(&self.patience, request.what, progress, || {
            self.once(request)
        })
    }

    /// Sends a request, and returns the answer if it is a success.
    pub(crate) fn once(&self, request: &Request<'_>) -> Result<Response> {
        let url = self.url(&request.path)?;
        self.success(self.authorized(&url, request)?, request.what)
    }

    /// The body of an answer, to be read while it flows.
    pub(crate) fn body(&self, answer: Response) -> Flow {
        Flow::new(answer, &self.patience)
    }

    /// Asks whether we may talk to the registry at all.
    pub(crate) fn ping(&self) -> Result<Response> {
        let url = self.base.join("v2/");
        let url = url.map_err(|_| self.protocol("its URL is malformed"))?;
        let request = Request::get("its version", "");
        self.success(self.authorized(&url, &request)?, request.what)
    }

    /// Sends one request, and again when the registry asked for authorization and got it.
    fn authorized(&self, url: &Url, request: &Request<'_>) -> Result<Response> {
        let mut round = 0;
        loop {
            let used = self.authorizer.current(self)?;
            let answer = self.follow(url, used.as_ref().map(Secret::expose), request)?;
            if answer.status() != StatusCode::UNAUTHORIZED
                || round == AUTHORIZATIONS_MAX
                || !self.authorizer.renew(self, &answer, used.as_ref(), round)?
            {
                return Ok(answer);
            }
            round += 1;
        }
    }

    /// Sends one request and follows where it leads.
    pub(crate) fn follow(
        &self,
        url: &Url,
        authorization: Option<&str>,
        request: &Request<'_>,
    ) -> Result<Response> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let same_origin = at.origin() == url.origin();
            let answer = self.send(&at, authorization.filter(|_| same_origin), request)?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            at = self.led_to(&answer)?;
        }
        Err(self.protocol(&format!("it redirects more than {REDIRECTS_MAX} times")))
    }

    fn send(
        &self,
        url: &Url,
        authorization: Option<&str>,
        request: &Request<'_>,
    ) -> Result<Response> {
        let mut builder = self.http.get(url.clone());
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(ranges) = request.ranges {
            builder = builder.header(RANGE, ranges);
        } else if request.offset > 0 {
            builder = builder.header(RANGE, format!("bytes={}-", request.offset));
        }
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        builder
            .send()
            .map_err(|error| self.unreachable(url, &error))
    }

    /// No answer from where `url` leads.
    pub(crate) fn unreachable(&self, url: &Url, error: &reqwest::Error) -> Error {
        Error::Unreachable {
            host: match self.proxies.of(url) {
                Some(proxy) => format!("{} through proxy {}", authority(url), authority(proxy)),
                None => authority(url),
            },
            source: Network::of(error),
        }
    }

    /// Turns to plain HTTP when the registry answers TLS with something else.
    fn fall_back(&mut self, progress: Progress<'_>) -> Result<()> {
        let ping = Request::get("its version", "");
        let url = self
            .base
            .join("v2/")
            .map_err(|_| self.protocol("its URL is malformed"))?;
        match self.send(&url, None, &ping) {
            Err(Error::Unreachable { source, .. }) if source.is_no_tls() => {}
            // plain HTTP has a port of its own
            Err(Error::Unreachable {
                source: Network::Refused,
                ..
            }) if self.base.port().is_none() => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        self.base = parse_url(
            &self.host,
            &url.as_str()
                .replacen("https:", "http:", 1)
                .replace("/v2/", "/"),
        )?;
        self.host = authority(&self.base);
        progress(Event::PlainHttp { host: &self.host });
        Ok(())
    }

    /// The answer if it is a success, or the error that it stands for.
    pub(crate) fn success(&self, answer: Response, what: &str) -> Result<Response> {
        let host = authority(answer.url());
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            StatusCode::NOT_FOUND => Err(Error::NotFound {
                what: what.to_owned(),
                place: format!("registry {}", self.host),
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Unauthorized {
                host,
                what: self.repository.clone(),
            }),
            status => Err(Error::Http {
                host,
                status: status.as_u16(),
                what: what.to_owned(),
                retry_after: retry::retry_after(answer.headers()),
                detail: detail(self.body(answer)),
            }),
        }
    }

    /// An answer that breaks a rule.
    pub(crate) fn protocol(&self, why: &str) -> Error {
        Error::Protocol {
            host: self.host.clone(),
            why: why.to_owned(),
        }
    }
}

fn http(
    options: &RegistryOptions,
    proxies: &ProxyRules,
    host: &str,
    insecure: bool,
) -> Result<reqwest::blocking::Client> {
    let proxies = proxies.clone();
    reqwest::blocking::Client::builder()
        .tls_backend_preconfigured(tls::config(&options.certificates, host, insecure)?)
        .dns_resolver(Arc::new(dns::Dns::default()))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(options.user_agent.as_str())
        .connect_timeout(options.patience.connect)
        // until the answer begins, and then for each read of it: not for all of it
        .timeout(options.patience.silence)
        // the environment is the caller's to read
        .no_proxy()
        .proxy(reqwest::Proxy::custom(move |url| proxies.of(url).cloned()))
        .build()
        .map_err(|error| Error::Setup {
            what: "the HTTP client".into(),
            source: error.into(),
        })
}

fn parse_url(host: &str, url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| {
        store::Error::malformed(format!("registry {host}"), error.to_string()).into()
    })
}

/// The host of a URL with its port.
pub(crate) fn authority(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    )
}

/// The registry's own words: the first message of an error document, without control characters, cut to a line.
fn detail(answer: Flow) -> Option<String> {
    let mut body = Vec::new();
    answer
        .take(ERROR_BODY_BYTES_MAX)
        .read_to_end(&mut body)
        .ok()?;
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let message = body.get("errors")?.get(0)?.get("message")?.as_str()?;
    let clean: String = message
        .chars()
        .filter(|c| !c.is_control())
        .take(ERROR_DETAIL_CHARS_MAX)
        .collect();
    (!clean.is_empty()).then_some(clean)
}

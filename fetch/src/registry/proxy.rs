//! Which proxy a request goes through: pure, but for the HTTP client's type.
//!
//! Decided for each URL and not for each registry, since a redirect leads elsewhere. This machine itself is always
//! reached directly.

use std::fmt;

use reqwest::Url;

use super::is_loopback;
use super::no_proxy::NoProxy;
use crate::error::Result;

/// The proxies to go through, as the usual environment variables name them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For plain HTTP: `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]` with http, https, socks5 or socks5h.
    pub http: Option<String>,
    /// For TLS; likewise.
    pub https: Option<String>,
    /// The hosts, domains and networks that are reached directly, separated by commas.
    pub except: String,
}

impl fmt::Debug for Proxies {
    /// Leaves out what may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

/// The proxies, understood.
#[derive(Clone, Default)]
pub(crate) struct ProxyRules {
    http: Option<Url>,
    https: Option<Url>,
    except: NoProxy,
}

impl fmt::Debug for ProxyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRules")
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

impl ProxyRules {
    /// Understands the variables of the environment.
    pub(crate) fn new(proxies: &Proxies) -> Result<Self> {
        let url = |text: &Option<String>| text.as_deref().map(proxy).transpose();
        Ok(Self {
            http: url(&proxies.http)?,
            https: url(&proxies.https)?,
            except: NoProxy::parse(&proxies.except),
        })
    }

    /// The proxy for `url`; none where it is reached directly.
    pub(crate) fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        }?;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        (!is_loopback(host) && !self.except.fits(host, port)).then_some(proxy)
    }
}

/// Reads one variable. Its text is never repeated: it may hold a password.
fn proxy(text: &str) -> Result<Url> {
    let malformed = |why: &str| store::Error::malformed("proxy of the environment", why);
    let text = match text.split_once("://") {
        // names are for the proxy to look up, as in Go: it may know more than this host
        Some(("socks5", rest)) => format!("socks5h://{rest}"),
        Some(_) => text.to_owned(),
        None => format!("http://{text}"),
    };
    let url = Url::parse(&text).map_err(|error| malformed(&error.to_string()))?;
    if !["http", "https", "socks5h"].contains(&url.scheme()) {
        return Err(malformed("its scheme is not http, https, socks5 or socks5h").into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(malformed("it has no host").into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(http: &str, https: &str, except: &str) -> ProxyRules {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ProxyRules::new(&Proxies {
            http: text(http),
            https: text(https),
            except: except.to_owned(),
        })
        .expect("proxies")
    }

    #[test]
    fn each_url_has_its_proxy() {
        let rules = rules("p:3128", "socks5://u:p@s:1080", "inner.example,10.0.0.0/8");
        let of = |url: &str| rules.of(&Url::parse(url).expect(url)).map(Url::to_string);
        for (url, proxy) in [
            ("http://a.example/", Some("http://p:3128/")),
            ("https://a.example/", Some("socks5h://u:p@s:1080")),
            ("https://inner.example/", None),
            ("https://x.inner.example:5000/", None),
            ("http://10.9.8.7/", None),
            ("https://localhost:5000/", None),
            ("https://127.0.0.1/", None),
            ("https://[::1]:5000/", None),
            ("https://[fd00::1]/", Some("socks5h://u:p@s:1080")),
        ] {
            assert_eq!(of(url).as_deref(), proxy, "{url}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for text in [
            "ftp://u:secret@p",
            "http://u:secret@",
            "http://u:secret@p:99999",
        ] {
            let proxies = Proxies {
                http: Some(text.into()),
                ..Proxies::default()
            };
            let error = ProxyRules::new(&proxies).expect_err(text).to_string();
            assert!(
                error.starts_with("proxy of the environment is malformed: "),
                "{error}"
            );
            assert!(!error.contains("secret") && !format!("{proxies:?}").contains("secret"));
        }
    }
}

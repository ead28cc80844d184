//! What the network said, cut down to its innermost cause: an HTTP client wraps "connection refused" four times.

use std::error::Error as StdError;
use std::io;

use super::dns::DnsError;

/// The innermost cause of a failed exchange.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Network {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// The handshake failed.
    #[error(transparent)]
    Tls(rustls::Error),
    /// There is no usable `/etc/resolv.conf`.
    #[error("{0}")]
    NoNameServer(String),
    /// The name has no address.
    #[error("{0}")]
    NoAddress(String),
    /// It sends so little at a time that it would never come to its end.
    #[error("it sent less than {bytes} bytes in {seconds} s")]
    Slow {
        /// What it should have sent at least.
        bytes: u64,
        /// In which time.
        seconds: u64,
    },
    /// The connection ended early.
    #[error("the connection was closed early")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Network {
    /// Finds the innermost cause of `error`.
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut innermost = error;
        loop {
            if let Some(found) = Self::recognise(innermost) {
                return found;
            }
            match inner(innermost) {
                Some(next) => innermost = next,
                None => return Self::other(innermost),
            }
        }
    }

    fn recognise(error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(network) = error.downcast_ref::<Self>() {
            return Some(network.clone());
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::Tls(tls.clone()));
        }
        if let Some(dns) = error.downcast_ref::<DnsError>() {
            let text = dns.to_string();
            return Some(match dns {
                DnsError::NoNameServer(..) => Self::NoNameServer(text),
                DnsError::NoAddress(_) | DnsError::Failed(..) => Self::NoAddress(text),
            });
        }
        if error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_timeout)
        {
            return Some(Self::Timeout);
        }
        match error.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::TimedOut => Some(Self::Timeout),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Some(Self::Closed),
            _ => None,
        }
    }

    fn other(error: &(dyn StdError + 'static)) -> Self {
        let early = error
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof);
        let mut text = error.to_string();
        if let Some(at) = text.rfind(" (os error ") {
            text.truncate(at);
        }
        // hyper's type is not ours to name; these are its words for a connection that ended early
        match early || text.contains("message completed") || text.contains("message length reached")
        {
            true => Self::Closed,
            false => Self::Other(text),
        }
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::Closed | Self::Slow { .. } | Self::Other(_)
        )
    }

    /// Whether trying again may help where the registry was reached a moment ago: it may be starting again, and this
    /// host may be changing networks.
    pub(crate) fn is_passing_midway(&self) -> bool {
        self.is_passing() || matches!(self, Self::Refused | Self::NoAddress(_))
    }

    /// Whether the other side answered TLS with something else, as a server for plain HTTP does.
    pub(crate) fn is_no_tls(&self) -> bool {
        matches!(
            self,
            Self::Tls(rustls::Error::InvalidMessage(_)) | Self::Closed
        )
    }
}

/// The cause of an error; an `io::Error` hides the one that it carries from `source()`.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(carried) = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        return Some(carried);
    }
    error.source()
}

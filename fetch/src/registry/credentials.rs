//! Who we are at a registry, in any of the ways that registries know.
//!
//! Nothing here prints a secret: `Debug` hides it, and errors name files and hosts only.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secret::Secret;
use crate::error::Result;

/// A user with a password, or with a token that stands for one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Option<Secret>,
    identity_token: Option<Secret>,
    registry_token: Option<Secret>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// A user and a password; a user's name is not empty and holds neither a colon nor control characters.
    pub fn new(user: &str, password: &str) -> Result<Self> {
        if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
            let why = "a user's name is not empty and holds no colon";
            return Err(store::Error::malformed("credentials", why).into());
        }
        Ok(Self {
            user: user.to_owned(),
            password: Some(Secret::new(password)),
            identity_token: None,
            registry_token: None,
        })
    }

    /// What an auth file has: empty parts count as missing ones. `None` when nothing is left.
    pub(crate) fn from_parts(
        user: &str,
        password: &str,
        identity_token: &str,
        registry_token: &str,
    ) -> Option<Self> {
        let secret = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
        let (identity_token, registry_token) = (secret(identity_token), secret(registry_token));
        let has_token = identity_token.is_some() || registry_token.is_some();
        // beside a token, the password is only there if it says something
        let password = match secret(password) {
            None if !has_token && !user.is_empty() => Some(Secret::new("")),
            other => other,
        };
        (has_token || password.is_some()).then(|| Self {
            user: user.to_owned(),
            password,
            identity_token,
            registry_token,
        })
    }

    /// The user; empty where a token is all there is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, for a credential helper to keep.
    pub(crate) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The refresh token that a token service gives tokens for.
    pub(crate) fn identity_token(&self) -> Option<&Secret> {
        self.identity_token.as_ref()
    }

    /// The token that is sent as it is.
    pub(crate) fn registry_token(&self) -> Option<&Secret> {
        self.registry_token.as_ref()
    }

    /// `USER:PASSWORD` in base64, as auth files and headers have it.
    pub(crate) fn encoded(&self) -> Option<Secret> {
        let password = self.password.as_ref()?.expose();
        Some(Secret::new(
            STANDARD.encode(format!("{}:{password}", self.user)),
        ))
    }

    /// The value of a Basic `Authorization` header.
    pub(crate) fn basic(&self) -> Option<Secret> {
        let encoded = self.encoded()?;
        Some(Secret::new(format!("Basic {}", encoded.expose())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_credentials() {
        let parts = Credentials::from_parts;
        assert_eq!(parts("", "", "", ""), None);
        assert_eq!(parts("u", "p", "", ""), Credentials::new("u", "p").ok());
        assert_eq!(parts("u", "", "", ""), Credentials::new("u", "").ok());
        let token = parts("u", "", "identity", "").expect("a token");
        assert_eq!(token.basic(), None, "no password, so nothing for Basic");
        assert_eq!(token.identity_token(), Some(&Secret::new("identity")));
        let both = parts("u", "p", "identity", "").expect("both");
        assert_eq!(both.basic(), Some(Secret::new("Basic dTpw")));
        let registry = parts("", "", "", "r").expect("a token");
        assert_eq!(registry.registry_token(), Some(&Secret::new("r")));
    }

    #[test]
    fn users_are_checked() {
        for user in ["", "a:b", "a\nb"] {
            assert!(Credentials::new(user, "p").is_err(), "{user:?}");
        }
    }

    #[test]
    fn debug_hides_every_secret() {
        let all = Credentials::from_parts("me", "secret1", "secret2", "secret3");
        assert_eq!(format!("{all:?}"), "Some(Credentials { user: \"me\", .. })");
    }
}

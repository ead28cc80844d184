//! Logging in and out: credentials that the registry accepts are kept in an auth file, or with its helper.

use std::path::Path;

use store::Reference;

use super::auth_file_edit;
use super::auth_key::AuthKey;
use super::client::Client;
use super::credentials::Credentials;
use super::{Access, RegistriesConf, RegistryOptions};
use crate::error::{Error, Result};
use crate::event::Progress;

/// Asks the registry whether it accepts `credentials`.
pub fn check_login(
    key: &AuthKey,
    credentials: &Credentials,
    options: &RegistryOptions,
    progress: Progress<'_>,
) -> Result<()> {
    let options = RegistryOptions {
        credentials: Some(credentials.clone()),
        ..options.clone()
    };
    let registry = Reference {
        host: key.host().to_owned(),
        repository: String::new(),
        tag: None,
        digest: None,
    };
    let endpoint = RegistriesConf::read(&options.registries)?.itself(&registry);
    let client = Client::open(&endpoint, Access::Login, &options, progress)?;
    match client.ping() {
        Ok(_) => Ok(()),
        Err(Error::Unauthorized { .. }) => Err(Error::LoginRefused {
            registry: key.to_string(),
        }),
        Err(error) => Err(error),
    }
}

/// Checks credentials, and keeps them in `file` (made when it is missing), or with the helper that it names.
pub fn login(
    key: &AuthKey,
    credentials: &Credentials,
    file: &Path,
    options: &RegistryOptions,
    progress: Progress<'_>,
) -> Result<()> {
    check_login(key, credentials, options, progress)?;
    auth_file_edit::put(file, key, credentials)
}

/// Forgets the credentials that `file`, or its helper, keeps for `key`. Returns whether there were some.
pub fn logout(key: &AuthKey, file: &Path) -> Result<bool> {
    auth_file_edit::remove(file, key)
}

/// Forgets all credentials that `file` and its helpers keep.
pub fn logout_all(file: &Path) -> Result<()> {
    auth_file_edit::remove_all(file)
}

//! The commands, one file each: resolve the nouns, call one library function, print its report.

pub(crate) mod cat;
pub(crate) mod checkout;
pub(crate) mod completion;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod ls;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod repo;
pub(crate) mod rm;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod supervise;
pub(crate) mod tag;
pub(crate) mod verify;
pub(crate) mod version;

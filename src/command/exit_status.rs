//! The exit statuses beside 0. Status 2 is clap's, too, for wrong usage.

/// A document, a response or a drill was found bad, or a callback wasn't found.
pub(super) const INVALID: u8 = 1;

/// Something could not be read, or a proxy could not be reached.
pub(super) const UNREADABLE: u8 = 2;

/// The configuration is wrong (`EX_CONFIG` of BSD's sysexits): a restart won't help.
pub const EX_CONFIG: u8 = 78;

//! Tests of the validator, by what they are about.

mod charset;
mod extension;
mod schema;
mod syntax;

use bytes::Bytes;

use super::*;

fn name(name: &str) -> Name {
    Name::new(name.as_bytes())
}

/// The error of a Voice document.
fn reject(document: impl AsRef<[u8]>) -> Error {
    let rules = Rules::new(Kind::Voice, Strictness::Twilio);
    validate(Bytes::copy_from_slice(document.as_ref()), None, &rules).expect_err("it is not valid")
}

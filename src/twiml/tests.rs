//! The judge's own tests, a file for each thing that it looks at.

mod charset;
mod extension;
mod schema;
mod syntax;

use super::*;

fn name(name: &str) -> Name {
    Name::new(name.as_bytes())
}

/// The fault of a page that answers a call.
fn fault(page: impl AsRef<[u8]>) -> Error {
    let rules = Rules::new(Kind::Voice, Strictness::Twilio);
    Twiml::parse(Bytes::copy_from_slice(page.as_ref()), None, &rules).expect_err("has a fault")
}

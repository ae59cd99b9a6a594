//! What may answer a message: <https://www.twilio.com/docs/messaging/twiml>.

use super::{Element, Value, any, attribute, element, error, method, url, warning};

pub(super) const MESSAGING: &[Element] = &[
    element("Response")
        .holds("Message Redirect Sms")
        .stray(warning(14110))
        .takes(&[attribute("version", Value::Version).fails(12101)]),
    element("Message")
        .holds("Body Media")
        .needs_text(warning(14103))
        .unless("Body Media")
        .at_most(1600, warning(14103))
        .takes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
    element("Body").needs_text(warning(14103)),
    element("Media")
        .needs_text(warning(12200))
        .form(Value::Url, warning(11100)),
    // Empty: loops the current document.
    element("Redirect")
        .text()
        .form(Value::Url, error(11100))
        .takes(&[method("method").warns(13710)]),
    // Legacy, but live: "One of '{Sms, Message, Redirect}' is expected".
    element("Sms")
        .needs_text(warning(14103))
        .at_most(1600, warning(14103))
        .takes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
];

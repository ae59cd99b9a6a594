//! The elements of Messaging TwiML: <https://www.twilio.com/docs/messaging/twiml>.

use super::{
    element::{Element, any, attribute, element, error, method, url, warning},
    value::ValueType,
};

pub(super) const MESSAGING: &[Element] = &[
    element("Response")
        .children("Message Redirect Sms")
        .unlisted_child(warning(14110))
        .attributes(&[attribute("version", ValueType::Version).fails(12101)]),
    element("Message")
        .children("Body Media")
        .requires_text(warning(14103))
        .unless("Body Media")
        .max_characters(1600, warning(14103))
        .attributes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
    element("Body").requires_text(warning(14103)),
    element("Media")
        .requires_text(warning(12200))
        .text_type(ValueType::Url, warning(11100)),
    // An empty one requests the current document again.
    element("Redirect")
        .allows_text()
        .text_type(ValueType::Url, error(11100))
        .attributes(&[method("method").warns(13710)]),
    // Legacy, but live: "One of '{Sms, Message, Redirect}' is expected".
    element("Sms")
        .requires_text(warning(14103))
        .max_characters(1600, warning(14103))
        .attributes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
];

//! Twilio's titles of its error codes, for readers of a report. Which codes there are, the validator decides: one without a
//! title here gets a general one.

/// Twilio's title of a code.
pub(super) fn title(code: u32) -> &'static str {
    TITLES
        .binary_search_by_key(&code, |(code, _)| *code)
        .map_or("Invalid TwiML", |at| TITLES[at].1)
}

/// Where Twilio explains a code.
pub(super) fn url(code: u32) -> String {
    format!("https://www.twilio.com/docs/api/errors/{code}")
}

/// By code, in ascending order.
const TITLES: &[(u32, &str)] = &[
    (11100, "Invalid URL format"),
    (11750, "TwiML response body too large"),
    (12100, "Document parse failure"),
    (12101, "Invalid Twilio Markup XML version"),
    (12102, "The root element must be Response"),
    (12200, "Schema validation warning"),
    (13000, "Conference Noun cannot be mixed with Number nouns"),
    (
        13110,
        "Annotate: Annotate must contain one valid nested element",
    ),
    (
        13111,
        "Annotate: Annotate must contain only one of element X",
    ),
    (13112, "Annotate: Invalid nested element"),
    (
        13120,
        "Annotate->BillingReferenceTag cannot be over 128 characters",
    ),
    (13210, "Dial: Invalid method value"),
    (13211, "Dial: Invalid ifMachine value"),
    (13212, "Dial: Invalid timeout value"),
    (13213, "Dial: Invalid hangupOnStar value"),
    (13215, "Dial: Invalid nested element"),
    (13216, "Invalid timeLimit value"),
    (13217, "Dial: Invalid record value"),
    (13218, "Dial: Invalid sequential value"),
    (13219, "Dial: Invalid answerOnBridge value"),
    (13220, "Dial: Invalid ringTone value"),
    (13221, "Dial->Number: Invalid method value"),
    (13222, "Dial->Number: Invalid sendDigits value"),
    (13223, "Dial: Invalid phone number format"),
    (13230, "Dial->Conference: Invalid muted value"),
    (13231, "Dial->Conference: Invalid endConferenceOnExit value"),
    (
        13232,
        "Dial->Conference: Invalid startConferenceOnEnter value",
    ),
    (13233, "Dial->Conference: Invalid waitUrl"),
    (13234, "Dial->Conference: Invalid waitMethod"),
    (13235, "Dial->Conference: Invalid beep value"),
    (13237, "Dial->Conference: Invalid Conference Name"),
    (13239, "Dial->Conference: Invalid Trim Value"),
    (13240, "Dial->Conference: Invalid Whisper SID"),
    (13241, "Dial->SIP: Invalid method value"),
    (13243, "Dial->SIP: Invalid SIP URI"),
    (13249, "Dial: Invalid username or password attribute"),
    (13256, "Invalid recordingStatusCallback URL"),
    (13257, "Invalid transcribeCallback URL"),
    (13310, "Gather: Invalid finishOnKey value"),
    (13312, "Gather: Invalid method value"),
    (13313, "Gather: Invalid timeout value"),
    (13314, "Gather: Invalid numDigits value"),
    (13320, "Gather: Invalid nested verb"),
    (13326, "Gather: Invalid input value"),
    (13327, "Gather: Invalid speechTimeout value"),
    (13328, "Gather: Invalid maxSpeechTime value"),
    (13329, "Gather: Invalid partialResultCallbackMethod value"),
    (13331, "Gather: Invalid language value"),
    (13332, "Gather: Invalid bargeIn value"),
    (13333, "Gather: Invalid profanityFilter value"),
    (13338, "Gather: Invalid actionOnEmptyResult value"),
    (13410, "Play: Invalid loop value"),
    (13430, "Play: Invalid DTMF String"),
    (13510, "Say: Invalid loop value"),
    (13511, "Say: Invalid voice value"),
    (13512, "Say: Invalid language value"),
    (13513, "Say: Invalid rate value"),
    (13520, "Say: Invalid text"),
    (13521, "Say: character limit exceeded"),
    (13610, "Record: Invalid method value"),
    (13611, "Record: Invalid timeout value"),
    (13612, "Record: Invalid maxLength value"),
    (13613, "Record: Invalid finishOnKey value"),
    (13614, "Record: Invalid transcribe value"),
    (13616, "Record: playBeep must be true or false"),
    (13621, "Invalid 'recordingStatusCallbackEvent'"),
    (13699, "Record: Invalid trim value"),
    (13710, "Redirect: Invalid method value"),
    (13810, "Reject: Invalid cause"),
    (13910, "Pause: Invalid length value"),
    (14101, "Invalid 'To' attribute"),
    (14102, "Invalid 'From' attribute"),
    (14103, "Invalid Body"),
    (14104, "Invalid Method attribute"),
    (14105, "Invalid statusCallback attribute"),
    (14110, "Invalid Verb for SMS Reply"),
    (14201, "Enqueue: Invalid method value"),
    (14202, "Enqueue: Invalid waitUrl"),
    (14203, "Enqueue: Invalid Enqueue action url"),
    (14204, "Enqueue: Queue name too short"),
    (14205, "Enqueue: Queue name too long"),
    (14206, "Enqueue: Invalid waitUrlMethod value"),
    (14210, "Dial->Queue: Invalid whisper method"),
    (14211, "Dial->Queue: Invalid whisper url"),
    (14212, "Dial->Queue: queue name too short"),
    (14213, "Dial->Queue: queue name too long"),
    (
        14215,
        "Dial->Queue: Invalid ReservationSid. Unable to dequeue",
    ),
    (14220, "Enqueue: Provided Workflow was not a valid sid"),
    (14221, "Enqueue: Provided Attributes JSON was not valid"),
    (14230, "Dial->Conference: Invalid WorkflowSid"),
    (
        14231,
        "Dial->Conference: Provided Attributes was not valid JSON",
    ),
    (14232, "Dial->Conference: Invalid Priority"),
    (14233, "Dial->Conference: Invalid Timeout"),
    (14239, "Dial->Conference: Unable to update Worker"),
    (14300, "Start: Invalid nested noun value"),
    (16023, "Dial->Conference: Invalid participant label"),
    (31922, "Stream - WebSocket - URL Schema Not Supported"),
    (64003, "Pay: Invalid charge amount"),
    (64016, "Pay: Invalid Action URL"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_number() {
        assert!(TITLES.is_sorted_by(|(one, _), (other, _)| one < other));
        assert_eq!(title(12100), "Document parse failure");
        assert_eq!(title(1), "Invalid TwiML");
    }
}

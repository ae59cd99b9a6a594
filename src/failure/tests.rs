use super::*;
use std::io;

use crate::twiml::{Kind, Rules, Strictness};

fn io_error() -> io::Error {
    io::ErrorKind::Other.into()
}

fn tls_error() -> rustls::Error {
    rustls::Error::DecryptError
}

fn document_error(document: &'static [u8]) -> twiml::Error {
    let rules = Rules::new(Kind::Voice, Strictness::Strict);
    twiml::validate(document.into(), None, &rules).expect_err("it is not valid")
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status")
}

fn reason(failure: &Failure) -> Option<&'static str> {
    match failure.policy() {
        ResponsePolicy::FallBack { reason, .. } => Some(reason.label()),
        ResponsePolicy::Refuse(_) => None,
    }
}

fn status_without_twiml(failure: &Failure) -> u16 {
    match failure.policy() {
        ResponsePolicy::FallBack { status, .. } | ResponsePolicy::Refuse(status) => status.as_u16(),
    }
}

#[test]
fn labels_are_the_documented_ones_and_stand_at_their_indexes() {
    let outcomes = [
        "upstream",
        "fallback",
        "observed",
        "error",
        "queued",
        "rejected",
        "abandoned",
    ];
    assert_eq!(Outcome::ALL.map(Outcome::label), outcomes);
    assert_eq!(Outcome::ALL.map(Outcome::index), [0, 1, 2, 3, 4, 5, 6]);
    let reasons = [
        "connect",
        "connect_timeout",
        "tls",
        "deadline",
        "reset",
        "truncated",
        "protocol",
        "status_4xx",
        "status_5xx",
        "redirect",
        "empty",
        "too_large",
        "content_type",
        "encoding",
        "malformed",
        "root",
        "schema",
        "breaker_open",
        "overload",
        "drill",
        "internal",
    ];
    assert_eq!(Reason::ALL.map(Reason::label), reasons);
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), index, "{reason}");
    }
}

#[test]
fn what_its_sender_did_wrong_is_refused_and_says_nothing_about_the_upstream() {
    for (failure, status) in [
        (HeadError::Host.into(), 400),
        (HeadError::Target.into(), 400),
        (HeadError::ContentLength.into(), 400),
        (HeadError::FieldValue.into(), 400),
        (HeadError::Loop.into(), 508),
        (HeadError::TransferCoding.into(), 501),
        (HeadError::Method.into(), 501),
        (body::Error::TooLarge { limit: 1 }.into(), 413),
        (body::Error::Malformed.into(), 400),
        (body::Error::Disconnected.into(), 400),
        (body::Error::OverBudget.into(), 503),
        (Failure::SlowClient, 408),
        (Failure::Unchecked, 500),
        (signature::Error::Missing.into(), 403),
        (signature::Error::Invalid.into(), 403),
    ] {
        assert_eq!(status_without_twiml(&failure), status, "{failure}");
        assert!(failure.is_refusal(), "{failure}");
        assert_eq!(failure.upstream_health(), UpstreamHealth::Unknown);
        assert_eq!(failure.twilio_code(), None, "{failure}");
        let same = failure.to_string();
        assert_eq!(failure.unverified().to_string(), same);
    }
}

#[test]
fn each_failure_of_the_upstream_has_its_reason_its_code_and_what_it_says_about_its_health() {
    use UpstreamHealth::{Down, Unknown, Up};
    use response::Error as Response;
    use upstream::Error as Upstream;
    for (failure, reason_label, code, health) in [
        (Failure::Deadline, "deadline", Some(11203), Down),
        (
            Upstream::Resolve(io_error()).into(),
            "connect",
            Some(11210),
            Down,
        ),
        (
            Upstream::Connect(io_error()).into(),
            "connect",
            Some(11202),
            Down,
        ),
        (
            Upstream::ConnectTimeout.into(),
            "connect_timeout",
            Some(11201),
            Down,
        ),
        (
            Upstream::Resources(io_error()).into(),
            "overload",
            None,
            Unknown,
        ),
        (
            Upstream::Tls(tls::Error::Expired).into(),
            "tls",
            Some(11236),
            Down,
        ),
        (Upstream::Reset.into(), "reset", Some(11200), Down),
        (Upstream::Truncated.into(), "truncated", Some(11206), Up),
        (Upstream::HeadTooLarge.into(), "protocol", Some(11206), Up),
        (Upstream::Framing.into(), "protocol", Some(11206), Up),
        (Upstream::UnaskedUpgrade.into(), "protocol", Some(11206), Up),
        (
            Upstream::BodyTooLarge(65536).into(),
            "too_large",
            Some(11750),
            Up,
        ),
        (
            Response::Status(status(404)).into(),
            "status_4xx",
            Some(11217),
            Up,
        ),
        (
            Response::Status(status(499)).into(),
            "status_4xx",
            Some(11217),
            Up,
        ),
        (
            Response::Status(status(500)).into(),
            "status_5xx",
            Some(11217),
            Down,
        ),
        (
            Response::Status(status(600)).into(),
            "status_5xx",
            Some(11217),
            Down,
        ),
        (
            Response::Redirect(status(308)).into(),
            "redirect",
            Some(11216),
            Up,
        ),
        (Response::Empty.into(), "empty", Some(11770), Up),
        (
            Response::ContentType.into(),
            "content_type",
            Some(12300),
            Up,
        ),
        (Response::ContentCoding.into(), "encoding", Some(12100), Up),
        (Failure::BreakerOpen, "breaker_open", None, Unknown),
        (Failure::Overload, "overload", None, Unknown),
        (Failure::Panic, "internal", None, Unknown),
    ] {
        assert_eq!(reason(&failure), Some(reason_label), "{failure}");
        assert_eq!(failure.twilio_code(), code, "{failure}");
        assert_eq!(failure.upstream_health(), health, "{failure}");
        assert!(!failure.is_refusal(), "{failure}");
        assert!(failure.document_error().is_none(), "{failure}");
        let gateway = if reason_label == "deadline" { 504 } else { 502 };
        assert_eq!(status_without_twiml(&failure), gateway, "{failure}");
    }
}

#[test]
fn a_tls_failure_has_the_code_that_twilio_has_for_its_kind() {
    for (error, code) in [
        (tls::Error::NameMismatch, 11235),
        (tls::Error::Expired, 11236),
        (tls::Error::NotYetValid, 11236),
        (tls::Error::UnknownIssuer, 11237),
        (tls::Error::NotPinned, 11237),
        (tls::Error::CaUsedAsEndEntity, 11220),
        (tls::Error::UnsupportedVersion, 11220),
        (tls::Error::Certificate(tls_error()), 11220),
        (tls::Error::Incompatible(tls_error()), 11220),
        (tls::Error::Refused(tls_error()), 11220),
        (tls::Error::Handshake(tls_error()), 11220),
        (tls::Error::Io(io_error()), 11220),
        (tls::Error::TimedOut, 11220),
    ] {
        assert_eq!(code_of_tls(&error), code, "{error}");
    }
}

#[test]
fn a_document_that_is_not_valid_has_the_reason_and_the_code_of_its_first_error() {
    for (document, reason_label) in [
        (&b"<Response>\xff</Response>"[..], "encoding"),
        (b"<Response>", "malformed"),
        (b"<response/>", "root"),
        (b"<Response><Say loop='often'>a</Say></Response>", "schema"),
    ] {
        let error = document_error(document);
        let (code, problem) = (error.code(), error.problem().to_string());
        let failure = Failure::from(error);
        assert_eq!(reason(&failure), Some(reason_label), "{failure}");
        assert_eq!(failure.twilio_code(), Some(code), "{failure}");
        assert_eq!(failure.upstream_health(), UpstreamHealth::Up);
        assert_eq!(status_without_twiml(&failure), 502);
        let found = failure.document_error().expect("it is about the document");
        assert_eq!(found.problem().to_string(), problem);
    }
}

#[test]
fn a_drill_marks_what_the_upstream_would_have_caused_and_nothing_else() {
    for (fault, status) in [
        (drill::Fault::Deadline, 504),
        (drill::Fault::Status5xx, 502),
        (drill::Fault::Malformed, 502),
        (drill::Fault::Root, 502),
    ] {
        for failure in [
            Failure::Deadline,
            upstream::Error::Reset.into(),
            response::Error::Empty.into(),
            document_error(b"<Response>").into(),
        ] {
            let marked = failure.injected(fault);
            assert_eq!(reason(&marked), Some("drill"));
            assert_eq!(status_without_twiml(&marked), status);
            assert_eq!(marked.upstream_health(), UpstreamHealth::Unknown);
        }
        for failure in [
            Failure::SlowClient,
            Failure::Overload,
            Failure::BreakerOpen,
            Failure::Panic,
        ] {
            let same = failure.to_string();
            assert_eq!(failure.injected(fault).to_string(), same);
        }
    }
}

#[test]
fn a_sender_that_is_not_known_to_be_twilio_never_gets_a_fallback() {
    assert!(matches!(
        Failure::Deadline.unverified(),
        Failure::SlowClient
    ));
    for failure in [Failure::Overload, Failure::BreakerOpen, Failure::Panic] {
        assert!(matches!(failure.unverified(), Failure::Unchecked));
    }
}

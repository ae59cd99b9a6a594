use super::*;
use http::Request;

/// A target with the hash of `{}`, and the signature of its URL with the token `12345`.
const SIGNED_EMPTY_OBJECT: (&str, &str) = (
    "/v?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "RKMOC9KuKs/YeXA7LAD4TQOY9Eg=",
);

fn verify(target: &str, headers: &[(&str, &str)], body: &str) -> Result<(), Error> {
    let tokens = Tokens::parse(b"*=12345").expect("a token");
    let verifier = Verifier::new("https://a.example", tokens);
    let request = Request::builder().method("POST").uri(target);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let (head, ()) = request.body(()).expect("a request").into_parts();
    verifier.verify(&head, body.as_bytes())
}

#[test]
fn a_body_that_is_not_a_form_must_have_the_signed_hash() {
    let (target, signature) = SIGNED_EMPTY_OBJECT;
    let signed = (HEADER, signature);
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(verify(target, &[signed, json], "{}"), Ok(()));
    assert_eq!(verify(target, &[signed], "{}"), Ok(()), "whatever its type");
    for (headers, body) in [
        (&[signed, json][..], "{ }"),
        (&[signed, json], ""),
        (&[signed, form], "{}"),
        (&[signed, form], "&&"),
        (&[signed, form], ""),
    ] {
        assert_eq!(
            verify(target, headers, body),
            Err(Error::Invalid),
            "{headers:?} {body}"
        );
    }
}

#[test]
fn an_unsigned_body_is_refused_even_if_the_url_is_signed() {
    let signed = (HEADER, "sOy79tU3lO3tBWaZN59UaqyJrdY=");
    assert_eq!(verify("/v", &[signed], ""), Ok(()));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/json");
    for headers in [&[signed][..], &[signed, json], &[signed, form, json]] {
        assert_eq!(
            verify("/v", headers, "a=b"),
            Err(Error::Invalid),
            "{headers:?}"
        );
    }
}

#[test]
fn a_request_has_one_signature_of_twenty_bytes() {
    assert_eq!(verify("/v", &[], ""), Err(Error::Missing));
    let good = (HEADER, "sOy79tU3lO3tBWaZN59UaqyJrdY=");
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for headers in [
        &[good, good][..],
        &[(HEADER, "")],
        &[(HEADER, "?")],
        &[(HEADER, "AAAA")],
        &[(HEADER, zeros)],
        &[(HEADER, "AAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        &[(HEADER, &zeros.repeat(100))],
    ] {
        assert_eq!(
            verify("/v", headers, ""),
            Err(Error::Invalid),
            "{headers:?}"
        );
    }
}

#[test]
fn the_work_that_a_stranger_can_cause_is_bounded() {
    let tokens = Tokens::parse("*=1\n".repeat(MAX_TOKENS).as_bytes()).expect("tokens");
    let verifier = Verifier::new("https://a.example", tokens);
    let is_tried = |url: &str, form: &str| {
        let secret = Secret::new("1").expect("a secret");
        let signature = sign(Algorithm::HmacSha1, &secret, url, form.as_bytes());
        let request = Request::post("/?%27%40")
            .header(HEADER, signature)
            .header("authorization", "Basic dTpw")
            .header("content-type", "application/x-www-form-urlencoded");
        let (head, ()) = request.body(()).expect("a request").into_parts();
        verifier.verify(&head, form.as_bytes()).is_ok()
    };
    let authorities = [
        "a.example",
        "a.example:443",
        "u:p@a.example",
        "u:p@a.example:443",
    ];
    let targets = ["/?%27%40", "/?'%40", "/?%27@", "/?'@"];
    let urls = targets.map(|target| authorities.map(|name| format!("https://{name}{target}")));
    let count_tried = |length: usize| {
        let form = format!("a={}", "x".repeat(length));
        let tried = urls.iter().flatten().filter(|url| is_tried(url, &form));
        tried.count()
    };
    // Each URL costs the form's length times the number of tokens.
    let costs_all = MAX_HASHED_BYTES / MAX_TOKENS;
    assert_eq!(count_tried(1), 16);
    assert_eq!(count_tried(costs_all / 2), 2);
    assert_eq!(count_tried(costs_all), 1);
}

#[test]
fn a_signature_with_an_empty_secret_is_not_valid_although_decoys_have_one() {
    let text = "AC00000000000000000000000000000001=12345\nwebhooks_sharedkey_1=12345";
    let verifier = Verifier::new(
        "https://a.example",
        Tokens::parse(text.as_bytes()).expect("secrets"),
    );
    let verify = |algorithm, secret: &[u8], target: &str, key_id: &str| {
        let message = [&b"https://a.example"[..], target.as_bytes()];
        let signature = STANDARD.encode(key::compute_hmac(algorithm, secret, &message));
        let settings = format!("algorithm={},key={key_id}", algorithm.as_str());
        let request = Request::post(target)
            .header(HEADER, signature)
            .header(SETTINGS_HEADER, settings);
        let (head, ()) = request.body(()).expect("a request").into_parts();
        verifier.verify(&head, b"")
    };
    let known = "/v?AccountSid=AC00000000000000000000000000000001";
    let unknown = "/v?AccountSid=AC00000000000000000000000000000002";
    let (sha1, sha256) = (Algorithm::HmacSha1, Algorithm::HmacSha256);
    assert_eq!(verify(sha1, b"12345", known, ""), Ok(()));
    assert_eq!(verify(sha1, b"", unknown, ""), Err(Error::Invalid));
    assert_eq!(
        verify(sha256, b"12345", known, "webhooks_sharedkey_1"),
        Ok(())
    );
    assert_eq!(
        verify(sha256, b"", known, "webhooks_sharedkey_2"),
        Err(Error::Invalid)
    );
}

/// Whether the policy forwards a request with a good signature, with a bad one, and with none.
fn forwards(policy: &Policy) -> [bool; 3] {
    let good = "sOy79tU3lO3tBWaZN59UaqyJrdY=";
    let bad = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    [Some(good), Some(bad), None].map(|signature| {
        let mut request = Request::post("/v");
        if let Some(signature) = signature {
            request = request.header(HEADER, signature);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        match policy.apply(Box::new(head), ()) {
            Verification::Skipped(_) => true,
            Verification::Required(request) => {
                assert_eq!(request.check_head().is_ok(), signature.is_some());
                let result = request.verify(b"");
                request.accept(result).is_ok()
            }
        }
    })
}

#[test]
fn a_policy_decides_what_is_forwarded_and_only_good_signatures_count_as_use() {
    let verifier = || {
        let tokens = Tokens::parse(b"*=other\n*=12345").expect("tokens");
        Arc::new(Verifier::new("https://a.example", tokens))
    };
    let report = Policy::Report(verifier());
    let enforce = Policy::Enforce(verifier());
    for (policy, mode, forwarded) in [
        (&Policy::Off, Mode::Off, [true, true, true]),
        (&report, Mode::Report, [true, true, true]),
        (&enforce, Mode::Enforce, [true, false, false]),
    ] {
        assert_eq!(policy.mode(), mode);
        assert_eq!(policy.is_checked(), mode != Mode::Off, "{mode:?}");
        assert_eq!(policy.is_enforced(), mode == Mode::Enforce, "{mode:?}");
        assert_eq!(forwards(policy), forwarded, "{mode:?}");
    }
    assert_eq!(Policy::Off.secret_usage(), None);
    for policy in [report, enforce] {
        let usage = policy.secret_usage().expect("signatures are checked");
        let names: Vec<_> = usage.iter().map(|secret| &secret.name[..]).collect();
        assert_eq!(names, ["auth token of line 2", "auth token of line 1"]);
        let used: Vec<_> = usage
            .iter()
            .map(|secret| secret.last_match.is_some())
            .collect();
        assert_eq!(used, [true, false]);
    }
}

//! One case: bytes that a client sends, and what may come of them.

/// What a client sends and what is right.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    pub(crate) right: Right,
    /// The connection must not serve another request.
    pub(crate) closes: bool,
    /// The statuses that a refusal may have; any, if this is empty.
    pub(crate) statuses: &'static [u16],
    /// What a suite calls it.
    pub(crate) name: &'static str,
}

/// What is right.
#[derive(Clone, Debug)]
pub(crate) enum Right {
    /// A 4xx or 5xx of ours, and no whole request at the app.
    Refused,
    /// These requests at the app, one after another, each answered as itself.
    Requests(Vec<Wanted>),
    /// Refused, or one of these and no other.
    Either(Vec<Wanted>),
    /// Refused, or one request and no other, whatever it says.
    OneAtMost,
}

/// A request as the app is to see it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    /// None: whatever the app is called.
    pub(crate) host: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Fields that it must have.
    pub(crate) has: Vec<(&'static str, Vec<u8>)>,
    /// Fields that it must not have.
    pub(crate) lacks: Vec<&'static str>,
}

/// The host of most cases.
pub(crate) const HOST: &str = "a.example";

impl Case {
    fn new(bytes: impl Into<Vec<u8>>, right: Right) -> Self {
        Self {
            bytes: bytes.into(),
            right,
            closes: false,
            statuses: &[],
            name: "",
        }
    }

    pub(crate) fn refused(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes, Right::Refused)
    }

    pub(crate) fn is(bytes: impl Into<Vec<u8>>, wanted: Wanted) -> Self {
        Self::new(bytes, Right::Requests(vec![wanted]))
    }

    pub(crate) fn are(bytes: impl Into<Vec<u8>>, wanted: impl Into<Vec<Wanted>>) -> Self {
        Self::new(bytes, Right::Requests(wanted.into()))
    }

    pub(crate) fn either(bytes: impl Into<Vec<u8>>, wanted: impl Into<Vec<Wanted>>) -> Self {
        Self::new(bytes, Right::Either(wanted.into()))
    }

    pub(crate) fn one_at_most(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes, Right::OneAtMost)
    }

    /// The connection must not serve another request.
    pub(crate) fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    /// A refusal has one of these statuses.
    pub(crate) fn with(mut self, statuses: &'static [u16]) -> Self {
        self.statuses = statuses;
        self
    }

    /// What a suite calls it.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The same on a route whose responses are validated.
    pub(crate) fn validated(&self) -> Self {
        let mut case = self.clone();
        case.bytes = on_validated_route(&case.bytes);
        if let Right::Requests(wanted) | Right::Either(wanted) = &mut case.right {
            for wanted in wanted {
                wanted.target = on_validated_route(&wanted.target);
                wanted.body = on_validated_route(&wanted.body);
            }
        }
        case
    }
}

/// Both paths are of one length, so that no framing changes.
fn on_validated_route(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at + 6 <= bytes.len() {
        if &bytes[at..at + 6] == b"/pass/" {
            bytes[at..at + 6].copy_from_slice(b"/twim/");
        }
        at += 1;
    }
    bytes
}

impl Wanted {
    pub(crate) fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_vec(),
            host: Some(HOST.to_owned()),
            body: Vec::new(),
            has: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// The POST of [`post`], with this body.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/pass/x").body(body)
    }

    /// The GET of [`get`].
    pub(crate) fn get() -> Self {
        Self::new("GET", "/pass/x")
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub(crate) fn any_host(mut self) -> Self {
        self.host = None;
        self
    }

    pub(crate) fn has(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.has.push((name, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn lacks(mut self, name: &'static str) -> Self {
        self.lacks.push(name);
        self
    }
}

/// A POST with these field lines, each with its line's end, and what follows the head.
pub(crate) fn post(headers: impl AsRef<[u8]>, rest: impl AsRef<[u8]>) -> Vec<u8> {
    let line = format!("POST /pass/x HTTP/1.1\r\nHost: {HOST}\r\n");
    [line.as_bytes(), headers.as_ref(), b"\r\n", rest.as_ref()].concat()
}

/// A chunked POST with this body, framing included.
pub(crate) fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// A GET with these field lines.
pub(crate) fn get(headers: impl AsRef<[u8]>) -> Vec<u8> {
    let line = format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n");
    [line.as_bytes(), headers.as_ref(), b"\r\n"].concat()
}

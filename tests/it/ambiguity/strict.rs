//! An independent reader of HTTP/1.1 that knows no leniency: whatever two readers could take differently is malformed to it.
//!
//! It reads what the app's side received, so it is stricter than RFC 9112 asks of a server: a proxy is to write plainly.

/// One request, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// What bytes hold at their beginning.
pub(crate) enum Read {
    /// A request, and how many bytes it took.
    Whole(Request, usize),
    /// The beginning of one.
    Partial,
    /// Nothing that has one meaning only.
    Malformed(String),
}

/// Fields about one connection; they are not to be passed on.
const HOP_BY_HOP: &[&str] = &["keep-alive", "proxy-connection", "te", "trailer"];

type Fallible<T> = Result<T, Stop>;

/// Why reading stops.
enum Stop {
    Partial,
    Malformed(String),
}

fn wrong<T>(what: impl Into<String>) -> Fallible<T> {
    Err(Stop::Malformed(what.into()))
}

impl Request {
    /// The values of a field.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(own, _): &&(String, Vec<u8>)| own.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| &value[..])
    }

    /// The value of a field that may stand once at most.
    fn only<'a>(&'a self, name: &'a str) -> Fallible<Option<&'a [u8]>> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => wrong(format!("several {name}")),
            (value, None) => Ok(value),
        }
    }
}

/// Reads the first request of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Read {
    match whole(bytes) {
        Ok((request, end)) => Read::Whole(request, end),
        Err(Stop::Partial) => Read::Partial,
        Err(Stop::Malformed(what)) => Read::Malformed(what),
    }
}

fn whole(bytes: &[u8]) -> Fallible<(Request, usize)> {
    let mut rest = bytes;
    let mut request = request_line(line(&mut rest)?)?;
    loop {
        match line(&mut rest)? {
            [] => break,
            text => request.headers.push(field(text)?),
        }
    }
    plain(&request)?;
    request.body = body(&request, &mut rest)?;
    let taken = bytes.len() - rest.len();
    Ok((request, taken))
}

/// The next line; no control character but a tab may stand in it.
fn line<'a>(rest: &mut &'a [u8]) -> Fallible<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte < b' ' && *byte != b'\t');
    let Some(end) = end else {
        return Err(Stop::Partial);
    };
    match &rest[end..] {
        [b'\r', b'\n', ..] => {
            let text = &rest[..end];
            *rest = &rest[end + 2..];
            Ok(text)
        }
        [b'\r'] => Err(Stop::Partial),
        _ => wrong("a control character"),
    }
}

fn request_line(text: &[u8]) -> Fallible<Request> {
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else {
        return wrong("not three words and HTTP/1.1");
    };
    let visible = target
        .iter()
        .all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#');
    if !is_token(method) || !visible || !(target.starts_with(b"/") || target == b"*") {
        return wrong("a request line");
    }
    Ok(Request {
        method: String::from_utf8_lossy(method).into_owned(),
        target: target.to_vec(),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

fn field(text: &[u8]) -> Fallible<(String, Vec<u8>)> {
    let Some(colon) = text.iter().position(|byte| *byte == b':') else {
        return wrong("a field without a colon");
    };
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if !is_token(name) || value.contains(&0x7f) {
        return wrong(format!("a field: {}", text.escape_ascii()));
    }
    let name = String::from_utf8_lossy(name).into_owned();
    if has_double(&name) {
        return wrong(format!("{name}, which some take for another"));
    }
    Ok((name, value.trim_ascii().to_vec()))
}

/// Whether a reader that takes `_` for `-`, as CGI and WSGI do, takes it for a field that says how to read the request.
fn has_double(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let dashed = name.replace('_', "-");
    let framing = ["content-length", "transfer-encoding", "host", "connection"];
    let trusted = ["x-forwarded-", "x-twilio-", "i-twilio-"];
    let matters = framing.contains(&dashed.as_str())
        || trusted.iter().any(|prefix| dashed.starts_with(prefix));
    name == "proxy" || dashed != name && matters
}

fn is_token(word: &[u8]) -> bool {
    let marks = b"!#$%&'*+-.^_`|~";
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || marks.contains(byte);
    !word.is_empty() && word.iter().all(is_one)
}

/// What the head as a whole must be.
fn plain(request: &Request) -> Fallible<()> {
    let Some(host) = request.only("host")? else {
        return wrong("no Host");
    };
    if host.iter().any(|byte| b" \t@/\\?#".contains(byte)) {
        return wrong("a Host that isn't one");
    }
    if let Some(hop) = HOP_BY_HOP
        .iter()
        .find(|hop| request.values(hop).next().is_some())
    {
        return wrong(format!("{hop} of another connection"));
    }
    let upgrade = request.only("upgrade")?.map(<[u8]>::to_ascii_lowercase);
    let connection = request.only("connection")?.map(<[u8]>::to_ascii_lowercase);
    match (connection.as_deref(), upgrade.as_deref()) {
        (None, None) | (Some(b"upgrade"), Some(b"websocket")) => Ok(()),
        _ => wrong("a Connection or Upgrade of another connection"),
    }
}

fn body(request: &Request, rest: &mut &[u8]) -> Fallible<Vec<u8>> {
    let length = request.only("content-length")?;
    match (length, request.only("transfer-encoding")?) {
        (None, None) => Ok(Vec::new()),
        (Some(length), None) => exactly(rest, decimal(length)?),
        (None, Some(b"chunked")) => chunks(rest),
        _ => wrong("framing that can be read two ways"),
    }
}

fn decimal(text: &[u8]) -> Fallible<usize> {
    let digits = text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    match std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(length) if digits => Ok(length),
        _ => wrong("a length that isn't one"),
    }
}

fn exactly(rest: &mut &[u8], many: usize) -> Fallible<Vec<u8>> {
    let Some((taken, behind)) = rest.split_at_checked(many) else {
        return Err(Stop::Partial);
    };
    *rest = behind;
    Ok(taken.to_vec())
}

/// A chunked body without extensions and trailers.
fn chunks(rest: &mut &[u8]) -> Fallible<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(rest)?;
        if size.is_empty() || size.len() > 8 || !size.iter().all(u8::is_ascii_hexdigit) {
            return wrong("a chunk's size");
        }
        let size = std::str::from_utf8(size).expect("digits are text");
        let size = usize::from_str_radix(size, 16).expect("eight digits fit");
        body.extend(exactly(rest, size)?);
        if !line_is_empty(rest)? {
            return wrong("something behind a chunk");
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line_is_empty(rest: &mut &[u8]) -> Fallible<bool> {
    match exactly(rest, 2)?.as_slice() {
        b"\r\n" => Ok(true),
        _ => Ok(false),
    }
}

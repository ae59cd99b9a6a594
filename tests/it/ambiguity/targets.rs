//! Request targets and hosts (RFC 9112 §3.2): one path and one host, the same for us and for the app.

use super::case::{Case, HOST, Wanted};

/// Targets that cross as they are.
const SAME: &[&[u8]] = &[
    b"/",
    b"/pass/x",
    b"/pass/x?",
    b"/pass/x??a",
    b"/pass/x?a=b&c",
    b"//pass/x",
    b"///",
    b"/pass//x",
    b"/pass/./x",
    b"/pass/../x",
    b"/pass/%2e%2e/x",
    b"/pass/%2F",
    b"/pass/%00",
    b"/pass/%0d%0aHost:%20b",
    b"/pass/%zz",
    b"/pass/%",
    b"/pass/;x",
    b"/pass/x;y=z",
    b"/pass/@",
    b"/pass/a:b",
    b"//b.example/pass/x",
    b"/http://b.example/",
    b"/pass/\\x",
    b"/pass/|",
    b"/pass/~^",
    b"/*",
    b"/pass/[x]",
    b"/pass/x?a=http://b.example/",
    b"/pass/x?[]{}|\\^",
    b"/pass/'x'",
    b"/pass/\xc3\xa9",
];

/// Targets that name nothing here.
const WRONG: &[&[u8]] = &[
    b"",
    b"*",
    b"pass/x",
    b"?x",
    b"#",
    b"#x",
    b"a.example",
    b"a.example:80",
    b"a.example/pass/x",
    b"http://",
    b"http:///pass/x",
    b"http:/pass/x",
    b"http:pass/x",
    b"://a",
    b"http//a",
    b"http://u@b.example/pass/x",
    b"http://u:p@b.example/pass/x",
    b"http://b.example:x/pass/x",
    b"http://b.example:80:80/",
    b"http://[::1/pass/x",
    b"http://b<.example/",
    b"http://b.example /pass/x",
    b"/pass/x y",
    b"/pass/x\ty",
    b"/pass/\x00",
    b"/pass/\x0b",
    b"/pass/\x0c",
    b"/pass/x\ry",
    b"/pass/x\ny",
    b"/pass/\x7f",
    b"/pass/\x1f",
    b"\\pass\\x",
    b"a:b",
    b"[::1]:80",
    b"http://b.example\\@a.example/",
    b"**",
    b"*/",
    b".",
    b"..",
    b"~",
    b"&",
    b"%2fpass",
    b"http://:80/",
    b"http://b.example:80@a.example/",
];

/// Hosts that cross as they are.
const HOSTS: &[&str] = &[
    "a.example",
    "A.Example",
    "a.example:80",
    "a.example:8443",
    "a.example:",
    "a.example.",
    "127.0.0.1",
    "127.0.0.1:80",
    "[::1]",
    "[::1]:80",
    "[2001:db8::1]",
    "xn--bcher-kva.example",
    "a_b.example",
    "localhost",
    "a",
    "0",
    "a,b",
    "a;b",
    "a%41",
    "",
];

/// What is no host.
const WRONG_HOSTS: &[&[u8]] = &[
    b"u@a.example",
    b"u:p@a.example",
    b"a.example/",
    b"a.example/pass",
    b"a.example?x",
    b"a.example#x",
    b"a\\b",
    b"a b",
    b"a\tb",
    b"a.example, b.example",
    b"a:80:80",
    b"a:x",
    b"a:+80",
    b"a:-1",
    b"a: 80",
    b"a :80",
    b":80",
    b":",
    b"[",
    b"]",
    b"[]",
    b"[]:80",
    b"[::1",
    b"::1]",
    b"::1",
    b"[::g]",
    b"[::1]x",
    b"[::1]]",
    b"[[::1]]",
    b"[a.example]",
    b"[1.2.3.4]",
    b"[::::]",
    b"[1:2:3:4:5:6:7:8:9]",
    b"[::1%25lo]",
    b"a\x80b",
    b"\xc3\xa9.example",
    b"\"a\"",
    b"<a>",
    b"a|b",
    b"a^b",
    b"a`b",
    b"{a}",
    b"http://a.example",
    b"//a.example",
    b"a\x00b",
    b"a\x7fb",
    b"a\x0bb",
    b"a\rb",
    b"a.example:80/x",
    b"a@",
    b"@",
];

pub(super) fn all() -> Vec<Case> {
    let same = SAME
        .iter()
        .map(|target| Case::is(get(target), Wanted::new("GET", target)));
    let wrong = WRONG.iter().map(|target| Case::refused(get(target)));
    let hosts = HOSTS
        .iter()
        .map(|host| Case::is(with_hosts(&[host.as_bytes()]), Wanted::get().host(host)));
    let wrong_hosts = WRONG_HOSTS
        .iter()
        .map(|host| Case::refused(with_hosts(&[host])));
    let cases = same.chain(wrong).chain(hosts).chain(wrong_hosts);
    cases.chain(absolute()).chain(several_hosts()).collect()
}

fn get(target: &[u8]) -> Vec<u8> {
    let rest = format!(" HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    [b"GET ", target, rest.as_bytes()].concat()
}

fn with_hosts(hosts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"GET /pass/x HTTP/1.1\r\n".to_vec();
    for host in hosts {
        bytes.extend([b"Host: ", *host, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes
}

/// An absolute target's authority is the host, whatever the field says.
fn absolute() -> Vec<Case> {
    let is = |target: &str, method: &str, plain: &str, host: &str| {
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        Case::is(bytes, Wanted::new(method, plain).host(host))
    };
    let either = |target: &str, plain: &str, host: &str| {
        Case::either(
            get(target.as_bytes()),
            [Wanted::new("GET", plain).host(host)],
        )
    };
    vec![
        is("http://b.example/pass/x", "GET", "/pass/x", "b.example"),
        is(
            "http://b.example:81/pass/x?y=z",
            "POST",
            "/pass/x?y=z",
            "b.example:81",
        ),
        is("HTTP://B.Example/pass/x", "GET", "/pass/x", "B.Example"),
        is("https://b.example/pass/x", "GET", "/pass/x", "b.example"),
        is("http://b.example", "GET", "/", "b.example"),
        is("http://b.example/", "GET", "/", "b.example"),
        is("http://b.example//pass/x", "GET", "//pass/x", "b.example"),
        is("http://[::1]:80/pass/x", "GET", "/pass/x", "[::1]:80"),
        is("*", "OPTIONS", "*", HOST),
        is("http://b.example?x=1", "GET", "/?x=1", "b.example"),
        is("http://b.example?x=1", "POST", "/?x=1", "b.example"),
        is("http://b.example:81?", "GET", "/?", "b.example:81"),
        is("http://b.example?/pass/x", "GET", "/?/pass/x", "b.example"),
        either("http://b.example?x=1#y", "/?x=1", "b.example"),
        either("ftp://b.example/pass/x", "/pass/x", "b.example"),
        either("http://b.example#x", "/", "b.example"),
        either("http://b.example/pass/x#y", "/pass/x", "b.example"),
        either("/pass/x#y", "/pass/x", HOST),
        either("/pass/x?y#z", "/pass/x?y", HOST),
        either("/pass/x#", "/pass/x", HOST),
        either("/#/pass/x", "/", HOST),
        Case::refused(b"GET http://b.example/pass/x HTTP/1.1\r\n\r\n".to_vec()),
        Case::refused(
            b"GET http://b.example/pass/x HTTP/1.1\r\nHost: b.example\r\nHost: b.example\r\n\r\n"
                .to_vec(),
        ),
        Case::refused(b"CONNECT b.example:80 HTTP/1.1\r\nHost: b.example:80\r\n\r\n".to_vec()),
        Case::refused(b"CONNECT /pass/x HTTP/1.1\r\nHost: b.example\r\n\r\n".to_vec()),
        Case::refused(b"POST * HTTP/1.1\r\nHost: b.example\r\n\r\n".to_vec()),
    ]
}

fn several_hosts() -> Vec<Case> {
    let heads = [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nhOST: b\r\n",
        "Host: a\r\nX: y\r\nHost: b\r\n",
        "Host:\r\nHost: a\r\n",
        "Host: a\r\nHost:\r\n",
        "Host : a\r\n",
        "Host\t: a\r\n",
        " Host: a\r\n",
        "X: y\r\n Host: a\r\n",
        "Host\r\n",
        "Host: a\r\n b\r\n",
        "Host: a\r\n\tb\r\n",
        "Host:\r\n a\r\n",
        "Hos t: a\r\n",
        "Host\0: a\r\n",
        "Ho\u{17f}t: a\r\n",
        "H\u{f6}st: a\r\n",
        "Host=a\r\n",
        "Hostx: a\r\n",
        "X-Host: a\r\n",
        "X-Forwarded-Host: a\r\n",
    ];
    let refused = |head: &&str| Case::refused(format!("GET /pass/x HTTP/1.1\r\n{head}\r\n"));
    heads.iter().map(refused).collect()
}

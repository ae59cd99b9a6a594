//! Cookies are the app's: they cross unchanged, or the request is refused.

use super::{refused, served};
use crate::ambiguity::case::{Case, Wanted, get};

pub(super) fn all() -> Vec<Case> {
    let line = |value: &str| get(format!("Cookie: {value}\r\n"));
    let same = |name, value: &str| served(name, line(value), Wanted::get().has("cookie", value));
    let many: Vec<String> = (0..1000).map(|n| format!("c{n}=v")).collect();
    vec![
        same("COOK-ECHO", "a=b"),
        same("COOK-EMPTY", ""),
        same("COOK-PARSED-BASIC", "session=abc123"),
        same("COOK-PARSED-MULTI", "a=1; b=2; c=3"),
        same("COOK-PARSED-EMPTY-VAL", "a="),
        same("COOK-PARSED-SPECIAL", "a=b=c; d=\"e f\"; g=%20"),
        same("COOK-MALFORMED", ";;=;= a ;"),
        same("COOK-MANY-PAIRS", &many.join("; ")),
        same("COOK-DUPLICATE-NAME", "a=1; a=2"),
        served(
            "COOK-MULTI-HEADER",
            get("Cookie: a=1\r\nCookie: b=2\r\n"),
            Wanted::get().has("cookie", "a=1").has("cookie", "b=2"),
        ),
        refused("COOK-OVERSIZED", line(&format!("a={}", "x".repeat(70_000)))).with(&[431]),
        refused("COOK-NUL", line("a=\0b")),
        refused("COOK-CONTROL-CHARS", line("a=\x01\x02b")),
    ]
}

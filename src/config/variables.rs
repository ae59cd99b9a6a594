//! `${NAME}` and `${NAME:-default}` in the strings of the configuration: environment variables, which may be secrets.
//!
//! They are replaced after the file has been parsed, so a value can't become anything but a part of its string.

use std::borrow::Cow;
use std::env::{self, VarError};

use super::diagnostic::Diagnostic;

/// What is wrong with a variable, and how that is written in the text.
#[derive(Debug)]
pub(super) struct Error<'t> {
    pub(super) written: &'t str,
    pub(super) diagnostic: Diagnostic,
}

/// The text with the values of its variables. `$${` is `${`, and any other `$` is itself.
///
/// # Errors
///
/// Everything that is wrong, each variable once.
pub(super) fn expand(text: &str) -> Result<Cow<'_, str>, Vec<Error<'_>>> {
    expand_with(text, |name| env::var(name))
}

fn expand_with(
    text: &str,
    look_up: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Cow<'_, str>, Vec<Error<'_>>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let (mut expanded, mut errors) = (String::new(), Vec::<Error<'_>>::new());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        expanded.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(behind) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = behind;
        } else if rest.starts_with("${") {
            let (written, behind) = split_variable(rest);
            rest = behind;
            match value_of(written, &look_up) {
                Ok(value) => expanded.push_str(&value),
                Err(_) if errors.iter().any(|error| error.written == written) => {}
                Err(diagnostic) => errors.push(Error {
                    written,
                    diagnostic,
                }),
            }
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    if errors.is_empty() {
        Ok(Cow::Owned(expanded))
    } else {
        Err(errors)
    }
}

/// The variable at the beginning, up to its brace, and what is behind it. One that is not closed goes up to the end of its line.
fn split_variable(text: &str) -> (&str, &str) {
    let line = text.find('\n').unwrap_or(text.len());
    let end = text[..line].find('}').map_or(line, |brace| brace + 1);
    text.split_at(end)
}

fn value_of(
    written: &str,
    look_up: impl Fn(&str) -> Result<String, VarError>,
) -> Result<String, Diagnostic> {
    let Some(inner) = written[2..].strip_suffix('}') else {
        return Err(Diagnostic::about(written, "has no `}`").help(FORMS));
    };
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_valid_name(name) {
        return Err(Diagnostic::about(written, "is not a valid variable").help(FORMS));
    }
    if default.is_some_and(|default| default.contains("${")) {
        let what = "has another variable in its default";
        return Err(Diagnostic::about(written, what).help("write a default without one"));
    }
    let wrong = |what| Diagnostic::new(format!("the environment variable {name} {what}"));
    match (look_up(name), default) {
        // As in a shell, an empty one counts as not set where there is a default.
        (Ok(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Ok(value), _) => Ok(value),
        (Err(VarError::NotPresent), Some(default)) => Ok(default.to_owned()),
        (Err(VarError::NotPresent), None) => {
            let help = format!("set it, or write ${{{name}:-default}}");
            Err(wrong("is not set").help(help))
        }
        (Err(VarError::NotUnicode(_)), _) => Err(wrong("is not UTF-8")),
    }
}

fn is_valid_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const FORMS: &str = "write ${NAME} or ${NAME:-default}, or $${ for ${ itself";

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn expand(text: &str) -> Result<String, Vec<String>> {
        let look_up = |name: &str| match name {
            "A" => Ok("a".to_owned()),
            "_2" => Ok("${A}$${".to_owned()),
            "EMPTY" => Ok(String::new()),
            "LATIN1" => Err(VarError::NotUnicode(OsString::from_vec(vec![0xe9]))),
            _ => Err(VarError::NotPresent),
        };
        let expanded = expand_with(text, look_up).map(Cow::into_owned);
        let texts = |errors: Vec<Error<'_>>| {
            errors
                .iter()
                .map(|error| error.diagnostic.to_string())
                .collect()
        };
        expanded.map_err(texts)
    }

    #[test]
    fn a_variable_is_its_value_or_its_default() {
        for (text, expected) in [
            ("${A}", "a"),
            ("x${A}y${A}", "xaya"),
            ("é${A}é", "éaé"),
            ("${_2}", "${A}$${"),
            ("${A:-b}", "a"),
            ("${B:-b c}", "b c"),
            ("${B:-}", ""),
            ("${B:-:-}", ":-"),
            ("${B:-$A}", "$A"),
            ("${EMPTY}", ""),
            ("${EMPTY:-b}", "b"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_dollar_alone_is_itself_and_two_before_a_brace_are_one() {
        for (text, expected) in [
            ("$A $ $$ {A} $1", "$A $ $$ {A} $1"),
            (
                "$CREDENTIALS_DIRECTORY/tokens",
                "$CREDENTIALS_DIRECTORY/tokens",
            ),
            ("$${A}", "${A}"),
            ("$${", "${"),
            ("$$${A}", "$${A}"),
            ("$${A}${A}$", "${A}a$"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_reported_once() {
        let errors =
            expand("${B}${1A}${}${A-b}${ A}${B}${LATIN1}${B:-${A}}${A\n").expect_err("all wrong");
        assert_eq!(
            errors,
            [
                "the environment variable B is not set; set it, or write ${B:-default}",
                r#""${1A}" is not a valid variable; write ${NAME} or ${NAME:-default}, or $${ for ${ itself"#,
                r#""${}" is not a valid variable; write ${NAME} or ${NAME:-default}, or $${ for ${ itself"#,
                r#""${A-b}" is not a valid variable; write ${NAME} or ${NAME:-default}, or $${ for ${ itself"#,
                r#""${ A}" is not a valid variable; write ${NAME} or ${NAME:-default}, or $${ for ${ itself"#,
                "the environment variable LATIN1 is not UTF-8",
                r#""${B:-${A}" has another variable in its default; write a default without one"#,
                r#""${A" has no `}`; write ${NAME} or ${NAME:-default}, or $${ for ${ itself"#,
            ]
        );
    }
}

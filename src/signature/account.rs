//! The account that a request names: in its query, its form or its JSON body.

use std::fmt;

use memchr::memchr;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::Error;
use crate::form;

/// Its case is ignored, as some frameworks ignore it.
const ACCOUNT: &str = "AccountSid";

/// The account that a request names, if it does.
///
/// # Errors
///
/// [`Error::Invalid`] if it names several: the upstream could read another one than the one whose secret was used.
pub(super) fn find_account(
    query: &[u8],
    form: &[u8],
    json: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let parameters = form_accounts(query).chain(form_accounts(form));
    let mut account = None;
    for value in parameters.chain(json_accounts(json)) {
        match &account {
            None => account = Some(value),
            Some(known) if *known == value => {}
            Some(_) => return Err(Error::Invalid),
        }
    }
    Ok(account)
}

fn form_accounts(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    // Decoding is most of the work, so names that can't match are not decoded.
    let can_match = |name: &[u8]| {
        name.len() == ACCOUNT.len() || name.len() > ACCOUNT.len() && memchr(b'%', name).is_some()
    };
    let candidates = form::split(text).filter(move |(name, _)| can_match(name));
    candidates
        .filter(|(name, _)| form::decode(name).eq_ignore_ascii_case(ACCOUNT.as_bytes()))
        .map(|(_, value)| form::decode(value).into_owned())
}

/// The values of all members `AccountSid` of a JSON object, or of the objects in an array. A value that isn't a string is returned
/// as its JSON text. A body that isn't JSON has none.
fn json_accounts(body: &[u8]) -> Vec<Vec<u8>> {
    if !matches!(body.trim_ascii_start(), [b'{' | b'[', ..]) {
        return Vec::new();
    }
    let Accounts(accounts) = serde_json::from_slice(body).unwrap_or_default();
    accounts
}

#[derive(Default)]
struct Accounts(Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for Accounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collector)
    }
}

struct Collector;

impl<'de> Visitor<'de> for Collector {
    type Value = Accounts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Accounts, A::Error> {
        let mut accounts = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if !name.eq_ignore_ascii_case(ACCOUNT) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = members.next_value()?;
            let account = match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            };
            accounts.push(account.into_bytes());
        }
        Ok(Accounts(accounts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Accounts, A::Error> {
        let mut accounts = Vec::new();
        while let Some(Accounts(more)) = elements.next_element()? {
            accounts.extend(more);
        }
        Ok(Accounts(accounts))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }

    fn visit_unit<E>(self) -> Result<Accounts, E> {
        Ok(Accounts::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name_in_any_case() {
        for (text, named) in [
            ("XAccountSid=1&AccountSid=2&AccountSid=3", &["2", "3"][..]),
            (
                "Account%53id=1&accountsid=2&ACCOUNTSID=%33",
                &["1", "2", "3"],
            ),
            ("Account=1&AccountSid2=2&AccountSid", &[""]),
        ] {
            let found: Vec<_> = form_accounts(text.as_bytes()).collect();
            let named: Vec<_> = named.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(found, named, "{text}");
        }
    }

    #[test]
    fn a_request_names_one_account_at_most() {
        let json = br#"{"AccountSid":"AC1"}"#;
        let named = Ok(Some(b"AC1".to_vec()));
        assert_eq!(find_account(b"", b"", b""), Ok(None));
        assert_eq!(
            find_account(b"AccountSid=AC1", b"AccountSid=AC1", b""),
            named
        );
        assert_eq!(find_account(b"AccountSid=AC1", b"", json), named);
        assert_eq!(
            find_account(b"AccountSid=AC2", b"", json),
            Err(Error::Invalid)
        );
        assert_eq!(
            find_account(b"AccountSid=AC1", b"accountsid=AC2", b""),
            Err(Error::Invalid)
        );
    }

    #[test]
    fn every_account_that_a_json_body_names_is_found() {
        for (body, named) in [
            (
                r#"{"AccountSid":"AC1","a":{"AccountSid":"AC9"}}"#,
                &["AC1"][..],
            ),
            (
                r#" {"AccountSid":"AC1","accountsid":"AC2"} "#,
                &["AC1", "AC2"],
            ),
            (
                r#"[{"AccountSid":"AC1"},{"AccountSid":"AC2"},1,"a",null,[]]"#,
                &["AC1", "AC2"],
            ),
            (r#"{"Account\u0053id":"AC1"}"#, &["AC1"]),
            (r#"{"AccountSid":1}"#, &["1"]),
            (r#"{"a":[1,2.5,-1,true,null]}"#, &[]),
            (r#"{"AccountSid":"AC1""#, &[]),
            ("AccountSid=AC1", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = json_accounts(body.as_bytes())
                .into_iter()
                .map(String::from_utf8)
                .collect();
            let found: Vec<_> = found.into_iter().map(|text| text.expect("text")).collect();
            assert_eq!(found, named, "{body}");
        }
    }
}

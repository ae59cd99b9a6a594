//! The account that a JSON body names. It may come from anybody, so nothing else is built of it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::ACCOUNT;

/// The values of all members `AccountSid`, in any letters, of an object or of the objects in an array. One that is not text is
/// given as it is written. Nothing of a body that is not JSON.
pub(super) fn accounts(body: &[u8]) -> Vec<Vec<u8>> {
    if !matches!(body.trim_ascii_start(), [b'{' | b'[', ..]) {
        return Vec::new();
    }
    let accounts = serde_json::from_slice(body);
    accounts
        .map(|Accounts(accounts)| accounts)
        .unwrap_or_default()
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
    fn every_account_that_an_object_names_is_found() {
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
            let found: Vec<_> = accounts(body.as_bytes())
                .into_iter()
                .map(String::from_utf8)
                .collect();
            let found: Vec<_> = found.into_iter().map(|text| text.expect("text")).collect();
            assert_eq!(found, named, "{body}");
        }
    }
}

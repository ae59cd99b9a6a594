//! Suggests the known name that a misspelt one was meant to be.

/// The known name with the smallest edit distance, if it is close enough. Letter case and punctuation don't count.
pub(crate) fn suggest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = normalize(name);
    if name.len() > MAX_LENGTH {
        return None;
    }
    let limit = 1 + name.chars().count() / 3;
    let candidates = known.map(|known| (strsim::osa_distance(&name, &normalize(known)), known));
    candidates
        .filter(|(distance, _)| *distance < limit)
        .min()
        .map(|(_, known)| known)
}

/// The longest name that is compared, in bytes. TwiML's longest is 34.
const MAX_LENGTH: usize = 80;

fn normalize(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested() {
        let known = [
            "Say",
            "Play",
            "Pause",
            "Pay",
            "Gather",
            "statusCallback",
            "interpret-as",
            "for",
            "Siprec",
        ];
        for (name, meant) in [
            ("say", Some("Say")),
            ("SAY", Some("Say")),
            ("Gahter", Some("Gather")),
            ("Gathr", Some("Gather")),
            ("statuscallback", Some("statusCallback")),
            ("statusCalback", Some("statusCallback")),
            ("interpretAs", Some("interpret-as")),
            ("for_", Some("for")),
            ("SipRec", Some("Siprec")),
            ("Hangup", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(suggest(name, known.into_iter()), meant, "{name}");
        }
    }
}

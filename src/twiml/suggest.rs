//! The known name that a misspelt one is nearest to.

/// The nearest of the known names, if one is near enough to be meant. A name in other letters is nearest of all.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name: Vec<char> = plain(name).take(LONGEST + 1).collect();
    if name.len() > LONGEST {
        return None;
    }
    let far = 1 + name.len() / 3;
    let near = known.filter_map(|known| {
        let letters: Vec<char> = plain(known).collect();
        let worth_it = letters.len().abs_diff(name.len()) < far;
        worth_it.then(|| (distance(&name, &letters), known))
    });
    near.min()
        .filter(|(distance, _)| *distance < far)
        .map(|(_, known)| known)
}

/// The longest name worth comparing: TwiML's longest is 34 characters.
const LONGEST: usize = 40;

/// Letter case and punctuation are what people get wrong first.
fn plain(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
}

/// How many letters have to be changed, added, left out or swapped (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let changed = last[j] + usize::from(a[i] != b[j]);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nearest_to_what_was_meant() {
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
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }
}

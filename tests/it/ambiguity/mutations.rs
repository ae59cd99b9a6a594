//! A good request with an odd byte put in at every place of its head, or in the place of each of its bytes.

use super::case::{Case, chunked, post};

const ODD: &[u8] = b"\x00\t\n\x0b\r :\x7f\xff";

pub(super) fn all() -> Vec<Case> {
    let requests = [
        post("Content-Length: 3\r\n", "abc"),
        chunked("3\r\nabc\r\n0\r\n\r\n"),
    ];
    requests
        .iter()
        .flat_map(|request| mutated(request))
        .collect()
}

fn mutated(request: &[u8]) -> Vec<Case> {
    let mut cases = Vec::new();
    for at in 0..request.len() {
        for odd in ODD {
            let (before, behind) = request.split_at(at);
            let put_in = [before, &[*odd], behind].concat();
            let replaced = [before, &[*odd], &behind[1..]].concat();
            cases.extend([put_in, replaced].map(Case::one_at_most));
        }
    }
    cases
}

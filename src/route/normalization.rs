//! The paths that servers may make of a request's path before they look for a handler. All remove dot segments (RFC 3986 §5.2.4,
//! §6.2.2); some also decode `%2f`, merge slashes, drop parameters after `;`, or treat `\` as `/`. So a path can reach a handler
//! that it doesn't seem to name.

use percent_encoding::percent_decode;

/// How many times a path may be decoded: by a server in front of the app, and by the app itself.
const MAX_DECODINGS: usize = 2;

/// Every other path that a server may make of this one, in no order; empty for a path that no server changes.
pub fn normalized_paths(path: &str) -> Vec<String> {
    if is_plain(path) {
        return Vec::new();
    }
    let mut paths = Vec::new();
    for rules in 0..8_u8 {
        let rules = Rules {
            drop_parameters: rules & 1 > 0,
            split_at_backslash: rules & 2 > 0,
            merge_slashes: rules & 4 > 0,
        };
        let mut bytes = path.as_bytes().to_vec();
        for _ in 0..=MAX_DECODINGS {
            let normalized = String::from_utf8_lossy(&rules.normalize(&bytes)).into_owned();
            if normalized != path && !paths.contains(&normalized) {
                paths.push(normalized);
            }
            bytes = percent_decode(&bytes).collect();
        }
    }
    paths
}

/// Whether no server changes this path.
fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    path.bytes().all(|byte| {
        let is_plain = match byte {
            b'%' | b'\\' | b';' => false,
            b'/' | b'.' => !after_slash,
            _ => true,
        };
        after_slash = byte == b'/';
        is_plain
    })
}

/// What a server does with a path, besides removing dot segments.
#[derive(Clone, Copy)]
struct Rules {
    drop_parameters: bool,
    split_at_backslash: bool,
    merge_slashes: bool,
}

impl Rules {
    fn normalize(self, path: &[u8]) -> Vec<u8> {
        let is_slash = |byte: &u8| *byte == b'/' || self.split_at_backslash && *byte == b'\\';
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut ends_with_slash = false;
        // The path begins with a slash, so the first piece is empty.
        for segment in path.split(is_slash).skip(1) {
            let segment = match segment.iter().position(|byte| *byte == b';') {
                Some(end) if self.drop_parameters => &segment[..end],
                Some(_) | None => segment,
            };
            ends_with_slash = matches!(segment, b"" | b"." | b"..");
            match segment {
                b"." => {}
                b".." => drop(kept.pop()),
                b"" if self.merge_slashes => {}
                segment => kept.push(segment),
            }
        }
        let mut normalized = Vec::with_capacity(path.len() + 1);
        for segment in &kept {
            normalized.push(b'/');
            normalized.extend_from_slice(segment);
        }
        if normalized.is_empty() || ends_with_slash && normalized.last() != Some(&b'/') {
            normalized.push(b'/');
        }
        normalized
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_not_changed() {
        for path in ["/", "/voice", "/voice/ok", "/a.b/c-d/~e/", "/voice.xml"] {
            assert_eq!(normalized_paths(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn every_path_that_a_server_may_make_of_a_path_is_found() {
        for path in [
            "/media/../voice/ok",
            "/media/%2e%2e/voice/ok",
            "/media/%2E./voice/ok",
            "/media/..%2fvoice/ok",
            "/media/..%2Fvoice/ok",
            "/media/..;/voice/ok",
            "/media/..;a=b/voice/ok",
            "/media/..%3b/voice/ok",
            "/media/..\\voice/ok",
            "/media/..%5cvoice/ok",
            "/media/x/../../voice/ok",
            "/media//../voice/ok",
            "/media/./../voice/ok",
            "/media/%252e%252e/voice/ok",
            "/media/..%252fvoice/ok",
            "/%76oice/ok",
            "//voice/ok",
            "/./voice/ok",
            "/voice//ok",
            "/voice;a=b/ok",
            "/voice/ok;a=b",
            "\\voice\\ok",
            "/../../voice/ok",
        ] {
            let paths = normalized_paths(path);
            assert!(
                paths.iter().any(|path| path == "/voice/ok"),
                "{path}: {paths:?}"
            );
        }
    }

    #[test]
    fn a_slash_at_the_end_is_kept() {
        for (path, normalized) in [
            ("/voice/x/..", "/voice/"),
            ("/voice/.", "/voice/"),
            ("/voice/x/../", "/voice/"),
            ("/..", "/"),
            ("/%2e", "/"),
        ] {
            assert!(
                normalized_paths(path).contains(&normalized.to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_panic() {
        assert!(!normalized_paths("/%ff%fe/..").is_empty());
        assert_eq!(normalized_paths("/é/%"), [""; 0], "no server changes it");
    }
}

//! The paths that servers make of one on the wire. Some decode `%2f`, merge slashes, drop parameters behind `;` or take `\` for
//! `/` before they look for a handler, and others don't; all of them remove dot segments (RFC 3986 §5.2.4, §6.2.2). So a path
//! that is harmless by its letters can reach a handler elsewhere.

use percent_encoding::percent_decode;

/// How often a path is decoded at most: once by a front server and once more by the app.
const DECODINGS: usize = 2;

/// Every path that a server may take this one for, in no order; empty for a path that all of them read as it stands.
pub fn readings(path: &str) -> Vec<String> {
    if is_plain(path) {
        return Vec::new();
    }
    let mut readings = Vec::new();
    for way in 0..8_u8 {
        let server = Server {
            drops_parameters: way & 1 > 0,
            knows_backslash: way & 2 > 0,
            merges_slashes: way & 4 > 0,
        };
        let mut bytes = path.as_bytes().to_vec();
        for _ in 0..=DECODINGS {
            let read = String::from_utf8_lossy(&server.read(&bytes)).into_owned();
            if read != path && !readings.contains(&read) {
                readings.push(read);
            }
            bytes = percent_decode(&bytes).collect();
        }
    }
    readings
}

/// Whether there is only one way to read a path.
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

/// What a server does with a path besides removing dot segments.
#[derive(Clone, Copy)]
struct Server {
    drops_parameters: bool,
    knows_backslash: bool,
    merges_slashes: bool,
}

impl Server {
    fn read(self, path: &[u8]) -> Vec<u8> {
        let is_slash = |byte: &u8| *byte == b'/' || self.knows_backslash && *byte == b'\\';
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut ends_with_slash = false;
        // The path begins with a slash, so what stands before the first one is nothing.
        for segment in path.split(is_slash).skip(1) {
            let segment = match segment.iter().position(|byte| *byte == b';') {
                Some(end) if self.drops_parameters => &segment[..end],
                Some(_) | None => segment,
            };
            ends_with_slash = matches!(segment, b"" | b"." | b"..");
            match segment {
                b"." => {}
                b".." => drop(kept.pop()),
                b"" if self.merges_slashes => {}
                segment => kept.push(segment),
            }
        }
        let mut read = Vec::with_capacity(path.len() + 1);
        for segment in &kept {
            read.push(b'/');
            read.extend_from_slice(segment);
        }
        if read.is_empty() || ends_with_slash && read.last() != Some(&b'/') {
            read.push(b'/');
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_no_other_reading() {
        for path in ["/", "/voice", "/voice/ok", "/a.b/c-d/~e/", "/voice.xml"] {
            assert_eq!(readings(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn whatever_a_server_makes_of_a_path_is_among_its_readings() {
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
            let readings = readings(path);
            assert!(
                readings.iter().any(|read| read == "/voice/ok"),
                "{path}: {readings:?}"
            );
        }
    }

    #[test]
    fn a_reading_keeps_the_slash_at_its_end() {
        for (path, reading) in [
            ("/voice/x/..", "/voice/"),
            ("/voice/.", "/voice/"),
            ("/voice/x/../", "/voice/"),
            ("/..", "/"),
            ("/%2e", "/"),
        ] {
            assert!(readings(path).contains(&reading.to_owned()), "{path}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_no_panic() {
        assert!(!readings("/%ff%fe/..").is_empty());
        assert_eq!(readings("/é/%"), [""; 0], "every server reads it so");
    }
}

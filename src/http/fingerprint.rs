//! A digest of a request's body, by which a repeated request is told from another one with the same key.

/// Digests a body chunk by chunk. The boundary of a form is left out: a client that sends a form again makes up a new one.
pub(super) struct Fingerprint {
    hasher: blake3::Hasher,
    boundary: Vec<u8>,
    /// The last bytes, which may be the beginning of a boundary.
    carry: Vec<u8>,
}

impl Fingerprint {
    /// Begins with the `Content-Type` of the body.
    pub(super) fn new(content_type: &str) -> Self {
        let parameter =
            content_type.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("boundary="));
        let boundary = parameter.unwrap_or_default().trim_matches('"').as_bytes().to_vec();
        Self { hasher: blake3::Hasher::new(), boundary, carry: Vec::new() }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, chunk: &[u8]) {
        if self.boundary.is_empty() {
            self.hasher.update(chunk);
            return;
        }
        self.carry.extend_from_slice(chunk);
        let length = self.boundary.len();
        let mut from = 0;
        while let Some(at) = find(&self.carry[from..], &self.boundary) {
            self.hasher.update(&self.carry[from..from + at]);
            from += at + length;
        }
        let kept = from.max(self.carry.len().saturating_sub(length - 1));
        self.hasher.update(&self.carry[from..kept]);
        self.carry.drain(..kept);
    }

    /// Returns the digest of all bytes.
    pub(super) fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.carry);
        *self.hasher.finalize().as_bytes()
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first).map(|at| at + from) {
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content_type: &str, body: &str, chunk: usize) -> [u8; 32] {
        let mut fingerprint = Fingerprint::new(content_type);
        body.as_bytes().chunks(chunk).for_each(|chunk| fingerprint.update(chunk));
        fingerprint.finish()
    }

    #[test]
    fn a_body_has_one_digest_however_it_comes_and_another_has_another() {
        let json = "application/json";
        for chunk in [1, 2, 7, 100] {
            assert_eq!(digest(json, r#"{"ids":["a","b"]}"#, chunk), digest(json, r#"{"ids":["a","b"]}"#, 100));
        }
        assert_ne!(
            digest(json, r#"{"ids":["a","b"]}"#, 100),
            digest(json, r#"{"ids":["a","c"]}"#, 100),
            "of one length"
        );
        assert_eq!(digest("", "", 1), digest(json, "", 1));
    }

    #[test]
    fn the_boundary_of_a_form_makes_no_difference() {
        let form = |boundary: &str, name: &str| format!("--{boundary}\r\nname=\r\n{name}\r\n--{boundary}--\r\n");
        let of = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
        for chunk in [1, 2, 3, 5, 8, 1000] {
            let first = digest(&of("----aaab"), &form("----aaab", "Ada"), 1000);
            assert_eq!(digest(&of("\"zz\""), &form("zz", "Ada"), chunk), first, "{chunk}");
            assert_ne!(digest(&of("----aaab"), &form("----aaab", "Ida"), chunk), first, "{chunk}");
        }
    }
}

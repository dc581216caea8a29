//! Cuts a body into lines while it comes.

/// Collects parts of a body until they are lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// Up to here there is no end of a line.
    looked: usize,
}

impl Lines {
    /// Takes the next part of the body.
    pub(super) fn push(&mut self, part: &[u8]) {
        self.rest.extend_from_slice(part);
    }

    /// Takes what came without an end of line: the last line of a body may have none.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.looked = 0;
        std::mem::take(&mut self.rest)
    }

    /// Bytes that are no whole line yet.
    pub(super) fn pending(&self) -> usize {
        self.rest.len()
    }

    /// The whole lines that came, without their ends.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        let Some(last) = self.rest[self.looked..].iter().rposition(|byte| *byte == b'\n') else {
            self.looked = self.rest.len();
            return Vec::new();
        };
        let rest = self.rest.split_off(self.looked + last + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        self.looked = 0;
        let without_end = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        whole[..whole.len() - 1].split(|byte| *byte == b'\n').map(without_end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_body_is_cut() {
        let body = b"{\"a\":1}\r\n\n{\"b\":\"\xc3\xa9\"}\nrest";
        for size in 1..=body.len() {
            let mut lines = Lines::default();
            let mut taken = Vec::new();
            for part in body.chunks(size) {
                lines.push(part);
                taken.extend(lines.take());
            }
            assert_eq!(taken, [&b"{\"a\":1}"[..], b"", b"{\"b\":\"\xc3\xa9\"}"]);
            assert_eq!(lines.pending(), 4);
            assert_eq!(lines.take_rest(), b"rest");
        }
    }
}

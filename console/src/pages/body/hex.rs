//! Bytes as `hexdump -C` shows them.

use std::fmt::Write as _;

/// Bytes that are shown.
pub(super) const LIMIT: usize = 64 << 10;
const PER_LINE: usize = 16;

/// Offset, bytes, and what they are in ASCII, a line for each 16 of them.
pub(super) fn dump(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(LIMIT)];
    let mut text = String::with_capacity(shown.len().div_ceil(PER_LINE) * 79);
    for (number, line) in shown.chunks(PER_LINE).enumerate() {
        // Writing to a string can't fail.
        let _ = write!(text, "{:08x} ", number * PER_LINE);
        for at in 0..PER_LINE {
            if at % 8 == 0 {
                text.push(' ');
            }
            let _ = match line.get(at) {
                Some(byte) => write!(text, "{byte:02x} "),
                None => write!(text, "   "),
            };
        }
        text.push_str(" |");
        text.extend(line.iter().map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        }));
        text.push_str("|\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_hexdump_has_them() {
        assert_eq!(dump(b""), "");
        assert_eq!(
            dump(b"<script>\0\x7f\xff and more"),
            "00000000  3c 73 63 72 69 70 74 3e  00 7f ff 20 61 6e 64 20  |<script>... and |\n\
             00000010  6d 6f 72 65                                       |more|\n"
        );
        assert_eq!(dump(&vec![0; LIMIT + 1]).lines().count(), LIMIT / PER_LINE);
    }
}

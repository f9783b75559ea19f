//! HPACK (RFC 7541), as far as tests need it: heads are written without compression, and read without a
//! dynamic table, of which a session forbids the use.

/// Lengths of the Huffman codes of the 256 bytes (RFC 7541, Appendix B). Codes of a length are
/// consecutive numbers, in the order of the bytes.
const CODE_LENGTHS: &[u8; 256] = &[
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Appendix A.
const STATIC_TABLE: &[(&str, &str)] = &[
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A header block of literals that nobody is to remember.
pub(crate) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_integer(&mut block, 0, 7, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Appends an integer with a prefix of so many bits, under those of `first`.
pub(crate) fn push_integer(block: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        block.push(first | u8::try_from(value).unwrap());
        return;
    }
    block.push(first | u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The fields of a block.
pub(crate) fn decode(block: &[u8]) -> Vec<(String, String)> {
    let mut block = block;
    let mut fields = Vec::new();
    while let Some(first) = block.first().copied() {
        match first {
            0x80.. => {
                let (name, value) = STATIC_TABLE[integer(&mut block, 7) - 1];
                fields.push((name.to_owned(), value.to_owned()));
            }
            0x20..0x40 => assert_eq!(integer(&mut block, 5), 0, "no dynamic table was allowed"),
            _ => {
                let index = integer(&mut block, if first >= 0x40 { 6 } else { 4 });
                let name = match index {
                    0 => text(&mut block),
                    index => STATIC_TABLE[index - 1].0.to_owned(),
                };
                fields.push((name, text(&mut block)));
            }
        }
    }
    fields
}

fn integer(block: &mut &[u8], prefix: u32) -> usize {
    let most = (1 << prefix) - 1;
    let mut value = usize::from(block[0]) & most;
    let mut used = 1;
    if value == most {
        loop {
            let byte = block[used];
            value += usize::from(byte & 127) << (7 * (used - 1));
            used += 1;
            if byte < 128 {
                break;
            }
        }
    }
    *block = &block[used..];
    value
}

fn text(block: &mut &[u8]) -> String {
    let compressed = block[0] & 128 != 0;
    let length = integer(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    let bytes = if compressed {
        expand(text)
    } else {
        text.to_vec()
    };
    String::from_utf8(bytes).unwrap()
}

/// Undoes the Huffman code.
fn expand(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(byte) = byte_of(code, length) {
            bytes.push(byte);
            (code, length) = (0, 0);
        }
    }
    bytes
}

fn byte_of(code: u32, length: u8) -> Option<u8> {
    let mut next = 0_u32;
    for shorter in 5..length {
        next = (next + bytes_of(shorter).map(|_| 1).sum::<u32>()) << 1;
    }
    let nth = code.checked_sub(next)? as usize;
    bytes_of(length).nth(nth)
}

/// The bytes whose codes have this length.
fn bytes_of(length: u8) -> impl Iterator<Item = u8> {
    (0..=255).filter(move |byte| CODE_LENGTHS[usize::from(*byte)] == length)
}

#[test]
fn what_is_written_and_what_others_write_is_read() {
    let fields = [(":path", "/a"), ("x-long", &*"v".repeat(300))];
    let read = decode(&encode(&fields));
    let owned = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read, owned);
    // RFC 7541, C.4.1, but for the index.
    let block = [
        0x82, 0x86, 0x84, 0x01, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90,
        0xf4, 0xff,
    ];
    assert_eq!(decode(&block)[3].1, "www.example.com");
}

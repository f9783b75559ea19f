//! A chunked body is decoded to the same however it is cut, and what is written of it decodes to
//! the same again.

use proxy::http1::{ChunkedDecoder, Reframe, SyntaxError};

use testkit::{fuzz, table::words};

use crate::WORDS;

const LIMIT: u64 = 1000;

#[test]
fn chunked() {
    fuzz::run("chunked", &words(WORDS), 20_000, check);
}

/// What was decoded, how much of the input it took, and whether that was all of the body.
type Decoded = (Vec<u8>, usize, bool);

fn decode(pieces: &[&[u8]], reframe: Reframe) -> Result<Decoded, SyntaxError> {
    let mut decoder = ChunkedDecoder::new(LIMIT);
    let (mut out, mut used) = (Vec::new(), 0);
    for piece in pieces {
        let taken = decoder.decode(piece, &mut out, reframe)?;
        assert!(taken == piece.len() || decoder.is_done());
        used += taken;
        if taken < piece.len() {
            break;
        }
    }
    assert!(decoder.received() <= LIMIT);
    Ok((out, used, decoder.is_done()))
}

fn check(input: &[u8]) -> String {
    let whole = decode(&[input], Reframe::Plain);
    let bytes: Vec<_> = input.chunks(1).collect();
    assert_eq!(decode(&bytes, Reframe::Plain), whole, "byte by byte");
    let (first, second) = input.split_at(input.len() / 2);
    assert_eq!(decode(&[first, second], Reframe::Plain), whole, "in two");
    let (data, used, done) = match whole {
        Ok(decoded) => decoded,
        Err(error) => {
            assert_eq!(decode(&[input], Reframe::Chunked), Err(error));
            return format!("{error:?}");
        }
    };
    for pieces in [vec![input], bytes] {
        let (written, taken, _) = decode(&pieces, Reframe::Chunked).unwrap();
        assert_eq!(taken, used);
        let again = decode(&[&written], Reframe::Plain);
        assert_eq!(
            again,
            Ok((data.clone(), written.len(), done)),
            "{}",
            written.escape_ascii()
        );
    }
    format!("{done} {} {}", data.len().min(20), used == input.len())
}

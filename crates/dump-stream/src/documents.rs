//! Where one document ends and the next begins.

use crate::LONGEST_DOCUMENT;

/// The shortest document there is: a length and a zero.
const SHORTEST: usize = 5;

/// What can't be a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a document of {length} bytes at byte {at}: expected {SHORTEST} to {LONGEST_DOCUMENT}")]
pub struct Malformed {
    /// Where it begins among the documents' bytes.
    pub at: u64,
    /// How long it says that it is.
    pub length: i64,
}

/// Counts documents that come in pieces, without keeping them.
#[derive(Debug, Default)]
pub struct Documents {
    count: u64,
    bytes: u64,
    /// Of the document that has begun: what is still to come.
    rest: usize,
    /// The part of a length that has come.
    length: [u8; 4],
    known: usize,
}

impl Documents {
    /// Goes over the next `piece`: what of it belongs to documents is given to `each`, in order. Returns
    /// where [`END`](crate::END) ends in it, if it does.
    ///
    /// # Errors
    /// That of `each`; or when what comes is no document.
    pub fn advance<E: From<Malformed>>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let mut at = 0;
        while at < piece.len() {
            if self.rest > 0 {
                let part = self.rest.min(piece.len() - at);
                each(&piece[at..at + part])?;
                at += part;
                self.rest -= part;
                self.bytes += part as u64;
                continue;
            }
            self.length[self.known] = piece[at];
            self.known += 1;
            at += 1;
            if self.known < self.length.len() {
                continue;
            }
            self.known = 0;
            if self.length == crate::END {
                return Ok(Some(at));
            }
            self.rest = document_length(self.length, self.bytes)? - self.length.len();
            self.count += 1;
            each(&self.length)?;
            self.bytes += self.length.len() as u64;
        }
        Ok(None)
    }

    /// How many have begun.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes of them have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the last one is whole.
    pub fn is_whole(&self) -> bool {
        self.rest == 0 && self.known == 0
    }
}

/// The length of a document that begins so, `at` this byte.
///
/// # Errors
/// When no document is that long.
pub fn document_length(beginning: [u8; 4], at: u64) -> Result<usize, Malformed> {
    let length = i32::from_le_bytes(beginning);
    let fitting = usize::try_from(length).ok();
    fitting
        .filter(|length| (SHORTEST..=LONGEST_DOCUMENT).contains(length))
        .ok_or(Malformed {
            at,
            length: length.into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

    #[test]
    fn documents_are_the_same_in_whatever_pieces_they_come() {
        let longer = [&[9, 0, 0, 0][..], b"abcd\0"].concat();
        let all = [&EMPTY[..], &longer, &EMPTY, &crate::END, b"{}\n"].concat();
        for size in 1..=all.len() {
            let (mut documents, mut seen, mut end) = (Documents::default(), Vec::new(), None);
            for (number, piece) in all.chunks(size).enumerate() {
                let found = documents.advance(piece, |part| {
                    seen.extend_from_slice(part);
                    Ok::<_, Malformed>(())
                });
                end = found.unwrap().map(|at| number * size + at);
                if end.is_some() {
                    break;
                }
            }
            assert_eq!(end, Some(all.len() - 3), "in pieces of {size}");
            assert_eq!(seen, all[..all.len() - 7]);
            assert_eq!((documents.count(), documents.bytes()), (3, 19));
            assert!(documents.is_whole());
        }
    }

    #[test]
    fn what_no_document_can_be_is_refused() {
        for length in [-1, 4, 17_000_000] {
            let mut documents = Documents::default();
            let piece = [&EMPTY[..], &i32::to_le_bytes(length)].concat();
            let refused = documents.advance(&piece, |_| Ok::<_, Malformed>(()));
            let length = length.into();
            assert_eq!(refused, Err(Malformed { at: 5, length }));
        }
    }

    #[test]
    fn one_that_was_cut_off_is_not_whole() {
        for cut in 1..EMPTY.len() {
            let mut documents = Documents::default();
            let went = documents.advance(&EMPTY[..cut], |_| Ok::<_, Malformed>(()));
            assert_eq!(went, Ok(None));
            assert!(!documents.is_whole());
        }
    }
}

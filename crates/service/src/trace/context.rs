//! `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>
//!
//! ```text
//! 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//! version  trace id                   parent's span id  flags: bit 0 sampled
//! ```

use std::fmt;

use opentelemetry::trace::{SpanId, TraceId};

/// The length of a value of version 00, and the least of any other.
const LENGTH: usize = 55;

/// Which span of which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not all zero.
    pub trace_id: TraceId,
    /// Not all zero.
    pub span_id: SpanId,
    /// Whether the one before us is exported.
    pub sampled: bool,
}

impl TraceContext {
    /// What the value of a `traceparent` says, if that is valid. Of a later version it is what version 00
    /// has.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        if [known[2], known[35], known[52]] != *b"---" {
            return None;
        }
        let [version] = hex(&known[..2])?;
        match (version, rest.first()) {
            (0xff, _) | (0, Some(_)) => return None,
            (_, Some(after)) if *after != b'-' => return None,
            _ => {}
        }
        let [flags] = hex(&known[53..])?;
        let trace_id = TraceId::from_bytes(hex(&known[3..35])?);
        let span_id = SpanId::from_bytes(hex(&known[36..52])?);
        let valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
        valid.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// What a request's `traceparent` fields say: nothing where there is more than one.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Self> {
        let mut values = values.into_iter();
        let only = values.next()?;
        values.next().map_or_else(|| Self::parse(only), |_| None)
    }
}

/// The value of a `traceparent`, in version 00. Flags that it doesn't know are 0 then.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// The bytes that lower-case digits stand for.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parsed(value: &str) -> Option<String> {
        TraceContext::parse(value.as_bytes()).map(|context| context.to_string())
    }

    #[test]
    fn what_is_valid_is_understood() {
        assert_eq!(parsed(VALID).unwrap(), VALID);
        let unsampled = VALID.replace("-01", "-00");
        assert_eq!(parsed(&unsampled).unwrap(), unsampled);
        // Of the flags only the one that version 00 has.
        assert_eq!(parsed(&VALID.replace("-01", "-ff")).unwrap(), VALID);
        assert_eq!(parsed(&VALID.replace("-01", "-02")).unwrap(), unsampled);
    }

    #[test]
    fn a_later_version_may_have_more() {
        for later in ["cc", "01", "fe"] {
            let later = VALID.replacen("00", later, 1);
            assert_eq!(parsed(&later).unwrap(), VALID);
            assert_eq!(parsed(&format!("{later}-what-will-be")).unwrap(), VALID);
            assert_eq!(parsed(&format!("{later}-")).unwrap(), VALID);
            assert_eq!(parsed(&format!("{later}.")), None);
        }
    }

    #[test]
    fn what_is_invalid_is_nothing() {
        let zeros = |digits: &str| VALID.replace(digits, &"0".repeat(digits.len()));
        for invalid in [
            "",
            "00",
            &VALID[1..],
            &VALID[..54],
            &format!("{VALID} "),
            &format!(" {VALID}"),
            &format!("{VALID}-00"),
            &format!("{VALID},{VALID}"),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", "0x", 1),
            &VALID.to_uppercase(),
            &VALID.replace("-01", "-0G"),
            &VALID.replace('-', "_"),
            &zeros("0af7651916cd43dd8448eb211c80319c"),
            &zeros("b7ad6b7169203331"),
            &VALID.replace('7', "\u{e9}"),
        ] {
            assert_eq!(parsed(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn of_several_none_counts() {
        let of = |values: &[&str]| TraceContext::of(values.iter().map(|value| value.as_bytes()));
        assert!(of(&[VALID]).is_some());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[VALID, VALID]), None);
        assert_eq!(of(&["", VALID]), None);
    }

    proptest! {
        /// As the grammar has it, written another way.
        #[test]
        fn any_value_is_valid_by_the_grammar(value in near_valid()) {
            let text = String::from_utf8_lossy(&value);
            let parts: Vec<_> = text.splitn(5, '-').collect();
            let is_hex = |part: &str, length| part.len() == length
                && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let valid = matches!(parts[..], [version, trace, span, flags, ref more @ ..]
                if is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)
                    && version != "ff" && (version != "00" || more.is_empty())
                    && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0'));
            let context = TraceContext::parse(&value);
            prop_assert_eq!(context.is_some(), valid, "{:?}", text);
            if let Some(context) = context {
                let again = TraceContext::parse(context.to_string().as_bytes());
                prop_assert_eq!(again, Some(context));
            }
        }
    }

    /// A valid value with a few bytes changed, cut off or added.
    fn near_valid() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((0..60_usize, any::<u8>()), 0..4);
        let version = prop_oneof![Just("00"), Just("01"), Just("ff")];
        let more = prop_oneof![Just(""), Just("-"), Just("-01"), Just("x")];
        (changes, version, more, 50..60_usize).prop_map(|(changes, version, more, length)| {
            let mut value = (VALID.replacen("00", version, 1) + more).into_bytes();
            for (at, byte) in changes {
                if let Some(place) = value.get_mut(at) {
                    *place = byte;
                }
            }
            value.truncate(length);
            value
        })
    }
}

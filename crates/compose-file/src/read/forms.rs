//! Values with a notation of their own: durations, sizes, CPUs, file modes, networks.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cursor::Cursor;
use crate::model::{CertificateName, Cidr, Cpus, FileMode};
use crate::yaml::{Kind, Scalar, Value};

/// `1h30m`, `1.5s`, `200ms` (Compose specification, "Specifying durations").
pub(super) fn duration(cursor: &Cursor<'_>) -> Option<Duration> {
    cursor.parse("a duration such as 1m30s or 500ms", parse_duration)
}

fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("ns", 1),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u64 = 0;
    let mut rest = text;
    while {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(end);
        let (unit, scale) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        nanos = nanos.checked_add(scaled(number, *scale)?)?;
        rest = &after[unit.len()..];
        !rest.is_empty()
    } {}
    Some(Duration::from_nanos(nanos))
}

/// `64m`, `1gb`, `512 KiB`, `1.5g`, or plain bytes; all units are powers of 1024, whatever they
/// are called (Compose specification, "Specifying byte values"). Larger than 0.
pub(super) fn size(cursor: &Cursor<'_>) -> Option<u64> {
    cursor.parse("a size such as 64m or 1gb", |text| {
        parse_size(text).filter(|size| *size > 0)
    })
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    // The engine's sizes are signed.
    scaled(number, scale).filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// A number of CPUs such as `0.5`, more than 0.
pub(super) fn cpus(cursor: &Cursor<'_>) -> Option<Cpus> {
    cursor.parse("a number of CPUs such as 0.5", |text| {
        let nanos = scaled(text, 1_000_000_000)?;
        i64::try_from(nanos)
            .ok()
            .filter(|nanos| *nanos > 0)
            .map(Cpus)
    })
}

/// `number` × `scale`, exactly; digits beyond what the scale resolves are cut off.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let numerator: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u64::try_from(numerator * u128::from(scale) / denominator).ok()?;
    whole.checked_mul(scale)?.checked_add(part)
}

/// Octal, written with a leading 0 or as a string. A number without one is decimal for some
/// readers of Compose files and octal for others, and so neither here.
pub(super) fn file_mode(cursor: &Cursor<'_>) -> Option<FileMode> {
    let quoted = matches!(
        &cursor.node.value,
        Value::Scalar(Scalar {
            kind: Kind::String,
            ..
        })
    );
    cursor.parse("an octal file mode such as 0440", |text| {
        let digits = match text.strip_prefix("0o") {
            Some(digits) => digits,
            None if quoted || text.starts_with('0') => text,
            None => return None,
        };
        parse_mode(digits)
    })
}

pub(super) fn parse_mode(digits: &str) -> Option<FileMode> {
    let octal = !digits.is_empty() && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = u32::from_str_radix(digits, 8).ok()?;
    (octal && bits <= 0o7777).then_some(FileMode(bits))
}

/// `10.5.0.0/16`.
pub(super) fn cidr(cursor: &Cursor<'_>) -> Option<Cidr> {
    cursor.parse("a network such as 10.5.0.0/16", |text| {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Cidr { address, prefix })
    })
}

/// An IP address of one family or either, as `T` says.
pub(super) fn address<T: std::str::FromStr>(cursor: &Cursor<'_>, family: &str) -> Option<T> {
    cursor.parse(format!("an {family} address"), |text| text.parse().ok())
}

/// A path of the host; see [`Context::absolute`](crate::context::Context::absolute).
pub(super) fn host_path(cursor: &Cursor<'_>) -> Option<PathBuf> {
    Some(cursor.context.absolute(cursor.filled()?))
}

/// Names and addresses, each once.
pub(super) fn certificate_names(cursor: &Cursor<'_>) -> Option<Vec<CertificateName>> {
    let mut names = Vec::new();
    for text in cursor.text()?.split(',').map(str::trim) {
        match CertificateName::parse(text) {
            Some(name) if names.contains(&name) => {}
            Some(name) => names.push(name),
            None if text.is_empty() => {}
            None => cursor.problem(format!(
                "expected names and addresses separated by commas such as example.org, 192.0.2.1, \
                 found {text:?}"
            )),
        }
    }
    Some(names)
}

/// An absolute path in a container.
pub(super) fn container_path(cursor: &Cursor<'_>) -> Option<String> {
    let path = cursor.filled()?;
    if !path.starts_with('/') {
        cursor.expected("an absolute path in the container");
        return None;
    }
    Some(path.to_owned())
}

/// Letters, digits, `.`, `_` and `-`, beginning with a letter or digit: what the engine allows in
/// names of containers, networks and volumes.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| parse_duration(text).map(|value| value.as_secs_f64());
        assert_eq!(seconds("1m30s"), Some(90.0));
        assert_eq!(seconds("1h2m3s4ms"), Some(3723.004));
        assert_eq!(seconds("1.5s"), Some(1.5));
        assert_eq!(seconds("40us"), Some(0.00004));
        assert_eq!(seconds("0s"), Some(0.0));
        assert_eq!(seconds("0"), Some(0.0));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1 s",
            "1d",
            "1s 2s",
            ".s",
            "1..2s",
            "99999999999h",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("100", Some(100)),
            ("100b", Some(100)),
            ("64m", Some(64 << 20)),
            ("64M", Some(64 << 20)),
            ("1gb", Some(1 << 30)),
            ("2GiB", Some(2 << 30)),
            ("512 kb", Some(512 << 10)),
            ("1.5g", Some(3 << 29)),
            ("0.1k", Some(102)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("1.2.3m", None),
            ("9999999t", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn cpus_are_exact() {
        assert_eq!(scaled("0.1", 1_000_000_000), Some(100_000_000));
        assert_eq!(scaled("2", 1_000_000_000), Some(2_000_000_000));
        assert_eq!(scaled("1e3", 1_000_000_000), None);
    }
}

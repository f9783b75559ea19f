//! Requests such as a recorder gets: many alike, some rare.

use std::time::{SystemTime, UNIX_EPOCH};

use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocumentBuf, cstr};

const DAYS: u64 = 30;
/// A proxy's part of the ids that it makes.
const PROXY: [u8; 5] = [0x3a, 0x91, 0x07, 0xee, 0x52];
/// In one body of a million.
pub(crate) const NEEDLE: &str = "payment_intent.needle";
/// In the URL of one request of a thousand.
pub(crate) const RARE_QUERY: &str = "debug=1";
/// Of one request of a million.
pub(crate) const RARE_METHOD: &str = "PURGE";
/// Sends one request of ten.
pub(crate) const COMMON_ADDRESS: &str = "192.0.2.1";
/// Sends one request of a million.
pub(crate) const RARE_ADDRESS: &str = "198.51.100.77";

/// The same number gives the same documents, but for their time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Documents {
    begin_ms: u64,
    span_ms: u64,
    number: u64,
}

impl Documents {
    pub(crate) fn over_thirty_days(number: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let span_ms = DAYS * 24 * 3600 * 1000;
        let now_ms = u64::try_from(now.as_millis()).unwrap();
        Self {
            begin_ms: now_ms - span_ms,
            span_ms,
            number,
        }
    }

    /// The one with this number, in order of time.
    pub(crate) fn get(&self, index: u64) -> RawDocumentBuf {
        let luck = mix(index);
        let one_of = |number: u64, salt: u64| mix(luck ^ salt).is_multiple_of(number);
        let at = self.begin_ms + self.span_ms * index / self.number;
        let id = object_id(at / 1000, index);
        let method = match luck % 1000 {
            _ if one_of(1_000_000, 1) => RARE_METHOD,
            0..780 => "POST",
            780..970 => "GET",
            970..995 => "PUT",
            _ => "DELETE",
        };
        let address = if one_of(1_000_000, 2) {
            RARE_ADDRESS.to_owned()
        } else if one_of(10, 3) {
            COMMON_ADDRESS.to_owned()
        } else {
            // Fifty thousand clients, some more busy than others.
            some_address(mix(luck ^ 4) % 50_000 * (mix(luck ^ 5) % 50_000) / 50_000)
        };
        let query = if one_of(1_000, 6) {
            RARE_QUERY
        } else {
            "source=shop"
        };
        let event = if one_of(1_000_000, 7) {
            NEEDLE
        } else {
            "payment_intent.succeeded"
        };
        let body = if method == "GET" {
            String::new()
        } else {
            format!(
                r#"{{"id":"evt_{luck:016x}","type":"{event}","created":{},"data":{{"amount":{},"currency":"eur"}}}}"#,
                at / 1000,
                luck % 100_000
            )
        };
        let mut headers = RawDocumentBuf::new();
        headers.append(cstr!("Accept"), "*/*");
        if !body.is_empty() {
            headers.append(cstr!("Content-Length"), body.len().to_string());
            headers.append(cstr!("Content-Type"), "application/json");
        }
        headers.append(cstr!("Host"), "hooks.example.com");
        headers.append(cstr!("User-Agent"), "Shop/1.0 (+https://shop.example)");
        headers.append(cstr!("X-Forwarded-For"), address.as_str());
        headers.append(cstr!("X-Forwarded-Host"), "hooks.example.com");
        headers.append(cstr!("X-Forwarded-Proto"), "https");
        headers.append(cstr!("X-Real-Ip"), address.as_str());
        headers.append(cstr!("X-Request-Id"), id.to_hex());
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        document.append(cstr!("endpoint"), "home");
        document.append(cstr!("method"), method);
        document.append(
            cstr!("url"),
            format!("https://hooks.example.com/?{query}&n={}", index % 1000),
        );
        document.append(cstr!("headers"), headers);
        document.append(cstr!("data"), body);
        let received_ms = i64::try_from(at + luck % 5).unwrap();
        document.append(cstr!("received_at"), DateTime::from_millis(received_ms));
        document.append(cstr!("remote_addr"), address);
        document
    }
}

/// One of fifty thousand.
pub(crate) fn some_address(number: u64) -> String {
    format!("10.{}.{}.{}", number >> 14, number >> 7 & 127, number & 127)
}

fn object_id(seconds: u64, count: u64) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&u32::try_from(seconds).unwrap().to_be_bytes());
    bytes[4..9].copy_from_slice(&PROXY);
    bytes[9..].copy_from_slice(&count.to_be_bytes()[5..]);
    ObjectId::from_bytes(bytes)
}

/// `splitmix64`.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

//! How long the first page of each filter takes, by the console's own search.

use std::io::Write as _;
use std::time::{Duration, Instant};

use console::requests::filter::Filter;
use console::requests::search;
use console::settings::Settings;
use console::store::Store;
use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};

use crate::DATABASE;
use crate::documents::{
    COMMON_ADDRESS, NEEDLE, RARE_ADDRESS, RARE_METHOD, RARE_QUERY, some_address,
};

const ROUNDS: usize = 40;
const PAGE: usize = 50;
const TIME: Duration = Duration::from_secs(2);

/// Prints a table.
pub(crate) async fn measure(uri: &str, client: &Client) {
    let store = store(uri).await;
    let requests = client.database(DATABASE).collection::<Document>("requests");
    let number = requests.estimated_document_count().await.unwrap();
    println!("{number} documents; times in ms; {ROUNDS} rounds each");
    println!("| filter | p50 | p95 | found | searched | count p95 | count |");
    println!("|---|---:|---:|---:|---|---:|---|");
    let mut lots = Lots(1);
    for (name, query) in cases() {
        let mut pages = Vec::new();
        let mut counts = Vec::new();
        let mut last = None;
        for round in 0..ROUNDS {
            let filter = query
                .replace("{time}", &time(&mut lots))
                .replace("{id}", &some_id(&requests, &mut lots).await.to_hex())
                .replace("{address}", &some_address(lots.draw(50_000)));
            let (filter, others) = Filter::from_query(&filter).unwrap();
            let before = others.first().map(|(_, id)| id.parse().unwrap());
            let begun = Instant::now();
            let page = search::page(&store, &filter, before, PAGE).await.unwrap();
            let page_time = begun.elapsed();
            let begun = Instant::now();
            let count = search::count(&store, &filter).await.unwrap();
            // The first one is to warm up.
            if round > 0 {
                pages.push(page_time);
                counts.push(begun.elapsed());
            }
            last = Some((page, count));
            // What isn't served takes all of its time each time.
            if page_time > TIME * 3 / 4 && round == 4 {
                break;
            }
        }
        let (page, count) = last.unwrap();
        let more = if count.at_least { "or more" } else { "" };
        println!(
            "| {name} | {:.0} | {:.0} | {} | {} | {:.0} | {} {more} |",
            percentile(&mut pages, 50),
            percentile(&mut pages, 95),
            page.requests.len(),
            page.searched_to
                .map_or_else(|| "enough".to_owned(), |to| format!("back to {to}")),
            percentile(&mut counts, 95),
            count.count,
        );
    }
}

fn cases() -> Vec<(&'static str, String)> {
    vec![
        ("none", String::new()),
        ("none, a page further back", "before={id}".to_owned()),
        ("id", "id={id}".to_owned()),
        ("time: ten minutes", "{time}".to_owned()),
        ("time: the last day", "since=1d".to_owned()),
        ("method: 78 of 100", "method=POST".to_owned()),
        ("method: 5 of 1000", "method=DELETE".to_owned()),
        ("method: one of a million", format!("method={RARE_METHOD}")),
        ("method: none", "method=BREW".to_owned()),
        ("method: three", format!("method=PUT,DELETE,{RARE_METHOD}")),
        ("method, further back", "method=PUT&before={id}".to_owned()),
        ("address: one of ten", format!("address={COMMON_ADDRESS}")),
        ("address: any", "address={address}".to_owned()),
        (
            "address: one of a million",
            format!("address={RARE_ADDRESS}"),
        ),
        ("address: none", "address=203.0.113.1".to_owned()),
        ("time and method", "{time}&method=PUT".to_owned()),
        (
            "time and address",
            format!("{{time}}&address={COMMON_ADDRESS}"),
        ),
        (
            "method and address: both common",
            format!("method=POST&address={COMMON_ADDRESS}"),
        ),
        (
            "method and address: rare, common",
            format!("method={RARE_METHOD}&address={COMMON_ADDRESS}"),
        ),
        (
            "method and address: common, rare",
            format!("method=POST&address={RARE_ADDRESS}"),
        ),
        ("path: one of 1000", format!("path=/?{RARE_QUERY}")),
        ("path: none", "path=/none".to_owned()),
        (
            "path and rare address",
            format!("path=/none&address={RARE_ADDRESS}"),
        ),
        ("path and time", "{time}&path=/none".to_owned()),
        ("header: common", "header=content-type:+json".to_owned()),
        ("header: none", "header=x-none".to_owned()),
        ("body: common", "body=succeeded".to_owned()),
        ("body: one of a million", format!("body={NEEDLE}")),
        ("body and time", "{time}&body=none+such".to_owned()),
    ]
}

/// Ten minutes of the thirty days.
fn time(lots: &mut Lots) -> String {
    let ago = i64::try_from(lots.draw(29 * 24 * 3600)).unwrap();
    let since = DateTime::now().timestamp_millis() - ago * 1000 - 3_600_000;
    let text = |millis| {
        DateTime::from_millis(millis)
            .try_to_rfc3339_string()
            .unwrap()
    };
    format!("since={}&until={}", text(since), text(since + 600_000))
}

async fn some_id(requests: &mongodb::Collection<Document>, lots: &mut Lots) -> ObjectId {
    let ago = u32::try_from(lots.draw(29 * 24 * 3600)).unwrap();
    let now = u32::try_from(DateTime::now().timestamp_millis() / 1000).unwrap();
    let about = ObjectId::from_parts(now - ago - 3600, [0; 5], [0; 3]);
    let found = requests.find_one(doc! { "_id": { "$gte": about } }).await;
    found.unwrap().unwrap().get_object_id("_id").unwrap()
}

async fn store(uri: &str) -> Store {
    let mut tokens = tempfile::NamedTempFile::new().unwrap();
    writeln!(tokens, "not-needed-here-but-asked-for").unwrap();
    let settings = [
        ("CONSOLE_TOKEN_FILE", tokens.path().to_str().unwrap()),
        ("CONSOLE_MONGO_URI", uri),
        ("CONSOLE_DATABASE", DATABASE),
    ];
    let settings = Settings::load(None, settings).unwrap();
    Store::new(&settings.mongo, TIME).await.unwrap()
}

/// In milliseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).max(1) - 1;
    times[at].as_secs_f64() * 1000.0
}

/// Numbers that are the same each time.
struct Lots(u64);

impl Lots {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = crate::documents::mix(self.0);
        self.0 % below
    }
}

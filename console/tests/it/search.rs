//! What was recorded is found, newest first, by every filter and in bounded time.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use console::requests::filter::Filter;
use console::requests::recorded::Recorded;
use console::requests::search::{self, Count, Order, Span};
use console::store::Store;
use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Bson, DateTime, Document, doc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TestDatabase, request, store_at};

const TIME: Duration = Duration::from_secs(20);
const OLDEST_FIRST: Span = Span {
    after: None,
    before: None,
    order: Order::Oldest,
};

fn filter(query: &str) -> Filter {
    let (filter, others) = Filter::from_query(query).unwrap();
    assert_eq!(others, [], "{query}");
    filter
}

/// What pages have, each of `limit` requests, up to the last; none has one that another has.
async fn pages(store: &Store, filter: &Filter, limit: usize) -> Vec<ObjectId> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = search::page(store, filter, before, limit).await.unwrap();
        assert!(page.requests.len() <= limit);
        found.extend(page.requests.iter().map(|summary| summary.id));
        match page.next {
            Some(next) => before = Some(next.parse().unwrap()),
            None => break,
        }
    }
    let distinct: HashSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len());
    found
}

/// All of a span, in its order.
async fn all(store: &Store, filter: &Filter, span: Span) -> Vec<ObjectId> {
    let all: Vec<_> = search::all(store, filter.clone(), span)
        .try_collect()
        .await
        .unwrap();
    all.iter().map(|recorded| recorded.summary.id).collect()
}

fn id(document: &Document) -> ObjectId {
    document.get_object_id("_id").unwrap()
}

#[tokio::test]
async fn pages_go_back_from_the_newest_to_the_first() {
    let database = TestDatabase::new().await;
    let store = database.store(TIME).await;
    let empty = search::page(&store, &Filter::default(), None, 5).await;
    assert_eq!(empty.unwrap(), search::Page::default());
    let empty = search::page(&store, &filter("method=GET"), None, 5).await;
    assert_eq!(empty.unwrap(), search::Page::default());
    let recorded: Vec<_> = (0..23)
        .map(|number| request("POST", &format!("/?n={number}"), "body"))
        .collect();
    database.record(recorded.clone()).await;
    let newest_first: Vec<_> = recorded.iter().rev().map(id).collect();
    for limit in [1, 5, 22, 23, 24] {
        let found = pages(&store, &Filter::default(), limit).await;
        assert_eq!(found, newest_first, "{limit}");
    }
    let page = search::page(&store, &Filter::default(), None, 1).await;
    let page = page.unwrap();
    assert_eq!(page.requests[0].url, "http://localhost:8080/?n=22");
    assert_eq!(page.requests[0].body_bytes, 4);
    assert_eq!(page.searched_to, None);
}

#[tokio::test]
async fn one_is_read_whole() {
    let database = TestDatabase::new().await;
    let store = database.store(TIME).await;
    let sent = request("POST", "/?a=b", "é");
    database.record([sent.clone()]).await;
    let one = search::one(&store, id(&sent)).await.unwrap().unwrap();
    assert_eq!(one.body, "é".as_bytes());
    assert_eq!(one.headers.len(), 3);
    assert!(one.is_exact);
    assert_eq!(
        search::one(&store, ObjectId::new()).await.unwrap(),
        None,
        "an id that nobody has"
    );
}

#[tokio::test]
async fn the_database_and_this_process_agree_on_every_filter() {
    agree_on_every_filter(&TestDatabase::new().await).await;
}

#[tokio::test]
async fn they_agree_where_there_are_indexes() {
    let database = TestDatabase::new().await;
    for field in ["method", "remote_addr"] {
        add_index(&database, field).await;
    }
    agree_on_every_filter(&database).await;
}

#[tokio::test]
async fn they_agree_where_there_is_one_of_the_indexes() {
    for field in ["method", "remote_addr"] {
        let database = TestDatabase::new().await;
        add_index(&database, field).await;
        agree_on_every_filter(&database).await;
    }
}

/// One of docs/search.md.
async fn add_index(database: &TestDatabase, field: &str) {
    let index = IndexModel::builder().keys(doc! { field: 1, "_id": -1 });
    database.requests.create_index(index.build()).await.unwrap();
}

async fn agree_on_every_filter(database: &TestDatabase) {
    let store = database.store(TIME).await;
    let documents = hostile_documents();
    database.record(documents.clone()).await;
    let here: Vec<Recorded> = documents
        .iter()
        .rev()
        .map(|document| Recorded::from_document(&RawDocumentBuf::try_from(document).unwrap()))
        .collect();
    let mut matched = HashSet::new();
    for query in queries(&documents) {
        let filter = filter(&query);
        let expected: Vec<_> = here
            .iter()
            .filter(|recorded| filter.matches(recorded))
            .map(|recorded| recorded.summary.id)
            .collect();
        assert_eq!(pages(&store, &filter, 40).await, expected, "{query}");
        let newest_first = all(&store, &filter, Span::default()).await;
        assert_eq!(newest_first, expected, "{query}");
        let mut oldest_first = all(&store, &filter, OLDEST_FIRST).await;
        oldest_first.reverse();
        assert_eq!(oldest_first, expected, "{query}");
        // Of any filter, that is found in the same way.
        if let [before, between @ .., after] = &*expected
            && matched.len() < 2
        {
            let (after, before) = (Some(*after), Some(*before));
            for order in [Order::Newest, Order::Oldest] {
                let span = Span {
                    after,
                    before,
                    order,
                };
                let mut found = all(&store, &filter, span).await;
                if order == Order::Oldest {
                    found.reverse();
                }
                assert_eq!(found, between, "{query}");
            }
        }
        let count = Count {
            count: expected.len() as u64,
            at_least: false,
        };
        assert_eq!(
            search::count(&store, &filter).await.unwrap(),
            count,
            "{query}"
        );
        matched.insert(expected.is_empty());
    }
    assert_eq!(matched.len(), 2, "some match and some don't");
}

#[tokio::test]
async fn a_search_that_runs_out_of_time_is_gone_on_with() {
    let database = TestDatabase::new().await;
    let relay = Relay::start(&database.uri, Duration::from_millis(100)).await;
    let mut documents = small_documents(25_000);
    let mut sought = Vec::new();
    for document in documents.iter_mut().rev().step_by(6_000) {
        document.insert("data", "a needle");
        sought.push(id(document));
    }
    for documents in documents.chunks(10_000) {
        database.record(documents.to_vec()).await;
    }
    let store = store_at(&relay.uri, &database.name, Duration::from_millis(600)).await;
    // The connection is made.
    search::one(&store, ObjectId::new()).await.unwrap();
    let filter = filter("body=NEEDLE");
    let mut found = Vec::new();
    let mut before: Option<ObjectId> = None;
    let mut out_of_time = 0;
    loop {
        let page = search::page(&store, &filter, before, 100).await.unwrap();
        found.extend(page.requests.iter().map(|summary| summary.id));
        out_of_time += usize::from(page.searched_to.is_some());
        let Some(next) = page.next else { break };
        let next = next.parse().unwrap();
        assert!(before.is_none_or(|before| next <= before));
        before = Some(next);
    }
    assert_eq!(found, sought);
    assert!(out_of_time > 0);
    sought.reverse();
    let count = search::count(&store, &filter).await.unwrap();
    assert!(count.at_least && count.count < 5, "{count:?}");
    let at_once = database.store(TIME).await;
    assert_eq!(all(&at_once, &filter, OLDEST_FIRST).await, sought);
}

#[tokio::test]
async fn a_search_ends_when_nobody_waits_for_it_any_more() {
    let database = TestDatabase::new().await;
    let relay = Relay::start(&database.uri, Duration::from_millis(50)).await;
    database.record(small_documents(30_000)).await;
    let store = store_at(&relay.uri, &database.name, TIME).await;
    search::one(&store, ObjectId::new()).await.unwrap();
    let filter = filter("body=needle");
    let asked = relay.finds();
    {
        let mut searching = pin!(search::page(&store, &filter, None, 10));
        while relay.finds() < asked + 3 {
            let briefly = tokio::time::sleep(Duration::from_millis(1));
            tokio::select! {
                _ = &mut searching => panic!("it should take longer"),
                () = briefly => {}
            }
        }
    }
    let asked = relay.finds();
    for _ in 0..10 {
        search::one(&store, ObjectId::new()).await.unwrap();
    }
    // These, and what had been begun.
    assert!(
        relay.finds() <= asked + 11,
        "{} after {asked}",
        relay.finds()
    );
}

#[tokio::test]
async fn all_come_whole_however_large_they_are() {
    let database = TestDatabase::new().await;
    let store = database.store(TIME).await;
    let sizes = [
        1, 3_000_000, 0, 1_000_000, 1_000_000, 1_000_000, 7, 15_000_000, 2,
    ];
    for size in sizes {
        database
            .record([request("POST", "/", &"x".repeat(size))])
            .await;
    }
    let found: Vec<_> = search::all(&store, filter("method=POST"), Span::default())
        .map_ok(|recorded| recorded.body.len())
        .try_collect()
        .await
        .unwrap();
    let expected: Vec<_> = sizes.into_iter().rev().collect();
    assert_eq!(found, expected);
}

/// In order of their ids.
fn small_documents(number: u32) -> Vec<Document> {
    (0..number)
        .map(|number| {
            let [_, count @ ..] = number.to_be_bytes();
            let id = ObjectId::from_parts(1_700_000_000 + number / 100, [7; 5], count);
            doc! { "_id": id, "method": "GET", "url": "http://h/", "data": "hay" }
        })
        .collect()
}

/// A way to MongoDB on which each answer is late.
struct Relay {
    uri: String,
    finds: Arc<AtomicUsize>,
}

impl Relay {
    async fn start(to: &str, delay: Duration) -> Self {
        let to = to.strip_prefix("mongodb://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("mongodb://{}", listener.local_addr().unwrap());
        let finds = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&finds);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        let sent = &buffer[..length];
                        if sent.windows(6).any(|window| window == b"\x02find\0") {
                            counter.fetch_add(1, Ordering::Relaxed);
                        }
                        if to_server.write_all(sent).await.is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                        tokio::time::sleep(delay).await;
                        if to_client.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { uri, finds }
    }

    /// How many searches were sent over it.
    fn finds(&self) -> usize {
        self.finds.load(Ordering::Relaxed)
    }
}

/// In order of their ids.
fn hostile_documents() -> Vec<Document> {
    let now = DateTime::now().timestamp_millis();
    let bodies: [Bson; 16] = [
        "".into(),
        "hello".into(),
        "HELLO\nworld".into(),
        "a\0b".into(),
        "^a.*b$ (c) [d] {e} \\ | +".into(),
        "caf\u{e9}".into(),
        "CAF\u{c9}".into(),
        "stra\u{df}e STRA\u{1e9e}E".into(),
        "\u{212a}elvin \u{17f}et".into(),
        "\u{130}stanbul".into(),
        "\u{fffd}!".into(),
        "\u{202e}gnp.exe\u{2028}".into(),
        "\u{1f600}".into(),
        Bson::Null,
        Bson::Int32(5),
        doc! { "hello": "hello" }.into(),
    ];
    let urls: [Bson; 8] = [
        "http://localhost:8080/".into(),
        "http://localhost:8080/?a=b&c=d".into(),
        "https://h/a.b*c?d=/e//f".into(),
        "http:///?x".into(),
        "http://xn--caf/caf\u{e9}?\u{1f600}%00%0A".into(),
        "no url".into(),
        "http://h".into(),
        Bson::Int64(7),
    ];
    let headers: [Bson; 6] = [
        doc! { "Host": "localhost", "User-Agent": "curl/8.5.0" }.into(),
        doc! { "$Set.X": "\u{e9}", "X-Foo2Bar": "1,2" }.into(),
        doc! { "A.B": 5, "X-Foo2Bar": 7, "Accept": "" }.into(),
        doc! {}.into(),
        "Host: localhost".into(),
        Bson::Null,
    ];
    let addresses: [Bson; 4] = [
        "192.0.2.7".into(),
        "2001:db8::7".into(),
        "".into(),
        Bson::Null,
    ];
    let methods = ["GET", "POST", "BREW", "get", ""];
    let pick = |of: &[Bson], number: usize| of[number % of.len()].clone();
    (0..96_u32)
        .map(|number| {
            let index = number as usize;
            // Thirty minutes of them, the last now.
            let at = now - i64::from(95 - number) * 20_000;
            let seconds = u32::try_from(at / 1000).unwrap();
            let mut document = doc! {
                "_id": ObjectId::from_parts(seconds, [7; 5], [0, 0, u8::try_from(index % 256).unwrap()]),
                "method": methods[index % methods.len()],
                "url": pick(&urls, index / 3),
                "headers": pick(&headers, index / 2),
                "data": pick(&bodies, index),
            };
            match index % 7 {
                // As Flask wrote them.
                0 => {}
                1 => drop(document.insert("received_at", "yesterday")),
                // A slow body.
                2 => drop(document.insert("received_at", DateTime::from_millis(at + 70_000))),
                _ => drop(document.insert("received_at", DateTime::from_millis(at + 333))),
            }
            if !index.is_multiple_of(7) {
                document.insert("remote_addr", pick(&addresses, index / 5));
            }
            document
        })
        .collect()
}

fn queries(documents: &[Document]) -> Vec<String> {
    let mut queries: Vec<String> = [
        "",
        "method=GET",
        "method=brew,Get",
        "method=PATCH",
        "address=192.0.2.7",
        "address=2001:DB8::7",
        "address=192.0.2.7&method=POST,GET",
        "address=192.0.2.7&method=PATCH",
        "since=10m",
        "until=10m",
        "since=20m&until=10m",
        "since=10m&until=20m",
        "since=25m&until=5m&method=GET&address=192.0.2.7",
        "since=20m&body=hello",
        "path=/",
        "path=/?a",
        "path=/a.b*c",
        "path=/a.b**/",
        "path=*",
        "path=*=d",
        "path=c?d=",
        "path=localhost",
        "path=caf%C3%A9?",
        "path=%F0%9F%98%80%2500",
        "header=host",
        "header=HOST:+LOCAL",
        "header=host:+curl",
        "header=x-foo2bar",
        "header=x-foo2bar:+1,2",
        "header=$set.x",
        "header=$set.x:+%C3%89",
        "header=a.b",
        "header=a.b:+5",
        "header=accept",
        "header=accept:+x",
        "header=host&header=user-agent:+CURL/8.5",
        "body=hello",
        "body=Hello%0AWORLD",
        "body=a%00b",
        "body=a%00",
        "body=^a.*b$+(C)+[d]+{e}+%5C+|+%2B",
        "body=CAF%C3%89",
        "body=stra%C3%9Fe",
        "body=strasse",
        "body=kelvin",
        "body=SET",
        "body=istanbul",
        "body=%C4%B0",
        "body=%EF%BF%BD",
        "body=%E2%80%AE",
        "body=%E2%80%A8",
        "body=%F0%9F%98%80",
        "body=5",
        "body=hello&method=POST&header=host&path=/&address=192.0.2.7",
    ]
    .map(str::to_owned)
    .into();
    for document in documents.iter().step_by(40) {
        queries.push(format!("id={}", id(document)));
        queries.push(format!("id={}&method=GET", id(document)));
    }
    // From and up to the very moment of one, in milliseconds and in seconds.
    for document in documents.iter().step_by(17) {
        let by_id = id(document).timestamp();
        let at = document.get_datetime("received_at").copied();
        for at in [by_id, at.unwrap_or(by_id)] {
            let text = at.try_to_rfc3339_string().unwrap();
            queries.push(format!("since={text}"));
            queries.push(format!("until={text}"));
        }
    }
    queries
}

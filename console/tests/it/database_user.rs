//! What the stack's own scripts let the console's database user do: find in the one collection. And
//! that a database from before there was a console gets the user too.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use serde_json::json;
use testkit::mongo::{Mongo, assert_unauthorized};

const ROOT: &str = "root's";
const CONSOLE: &str = "reader's";

/// How compose.yaml has mongod told of the console's password (`x-rotate`).
const TELL: [&str; 6] = [
    "mongosh",
    "--quiet",
    "--norc",
    "--eval",
    "var user = 'causeway-console', secret = 'mongo_console_password'",
    "/rotate/password.js",
];

#[tokio::test]
async fn it_finds_in_the_one_collection_and_nothing_else() {
    let mongo = Mongo::start_as_the_stack_does(ROOT, &[("console", CONSOLE)]).await;
    let root = mongo.login("root", ROOT).await;
    record(&root).await;
    assert_may_only_find(&mongo, CONSOLE).await;
}

#[tokio::test]
async fn an_older_database_gets_it_when_it_is_told_the_password() {
    let mongo = Mongo::start_with_root(ROOT).await;
    let root = mongo.login("root", ROOT).await;
    record(&root).await;
    // Again with another password, which replaces the first.
    for password in [CONSOLE, CONSOLE, "another"] {
        let input = json!({"mongo_root_password": [ROOT], "mongo_console_password": [password]});
        let said = mongo.exec(&TELL, &input.to_string());
        assert!(!said.contains(password) && !said.contains(ROOT), "{said}");
        assert_may_only_find(&mongo, password).await;
    }
    let old = mongo.login("causeway-console", CONSOLE).await;
    let database = old.database("myDatabase");
    let refused = database.run_command(find("requests")).await.unwrap_err();
    let is_login = matches!(*refused.kind, ErrorKind::Authentication { .. });
    assert!(is_login, "{refused}");
}

async fn record(root: &Client) {
    for collection in ["requests", "other"] {
        let collection = root
            .database("myDatabase")
            .collection::<Document>(collection);
        collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
}

async fn assert_may_only_find(mongo: &Mongo, password: &str) {
    let own = mongo.login("causeway-console", password).await;
    let database = own.database("myDatabase");
    let requests = database.collection::<Document>("requests");
    assert_eq!(
        requests.find_one(doc! {}).await.unwrap(),
        Some(doc! { "_id": 1 })
    );
    let commands = [
        doc! { "insert": "requests", "documents": [{ "_id": 2 }] },
        doc! { "update": "requests", "updates": [{ "q": {}, "u": { "$set": { "a": 1 } } }] },
        doc! { "delete": "requests", "deletes": [{ "q": {}, "limit": 0 }] },
        doc! { "aggregate": "requests", "pipeline": [{ "$out": "requests" }], "cursor": {} },
        doc! { "aggregate": "requests", "pipeline": [{ "$unionWith": "other" }], "cursor": {} },
        doc! { "createIndexes": "requests", "indexes": [{ "key": { "a": 1 }, "name": "a" }] },
        doc! { "drop": "requests" },
        find("other"),
        find("system.profile"),
        doc! { "dropDatabase": 1 },
        doc! { "createUser": "mallory", "pwd": "x", "roles": ["readWrite"] },
    ];
    for command in commands {
        assert_unauthorized(&database, command).await;
    }
    let admin = own.database("admin");
    let commands = [
        doc! { "updateUser": "causeway-console", "pwd": "changed" },
        doc! { "grantRolesToUser": "causeway-console", "roles": ["root"] },
        doc! { "updateRole": "requestReader", "roles": ["root"] },
        find("system.users"),
        doc! { "serverStatus": 1 },
        doc! { "shutdown": 1 },
    ];
    for command in commands {
        assert_unauthorized(&admin, command).await;
    }
    assert_unauthorized(&own.database("test"), find("requests")).await;
}

fn find(collection: &str) -> Document {
    doc! { "find": collection }
}

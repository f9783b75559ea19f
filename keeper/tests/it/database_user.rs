//! What the stack's own scripts let the keeper's database user do, and that it is enough. And that a
//! database from before there was a keeper gets the user too.

use mongodb::Database;
use mongodb::bson::{Document, doc};
use serde_json::json;
use testkit::mongo::{Mongo, assert_unauthorized};

const ROOT: &str = "root's";
const KEEPER: &str = "keeper's";

/// How compose.yaml has mongod told of the keeper's password (`x-rotate`).
const TELL: [&str; 6] = [
    "mongosh",
    "--quiet",
    "--norc",
    "--eval",
    "var user = 'causeway-keeper', secret = 'mongo_keeper_password'",
    "/rotate/password.js",
];

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_one_collection_and_does_nothing_else() {
    let mongo = Mongo::start_as_the_stack_does(ROOT, &[("keeper", KEEPER)]).await;
    assert_it_keeps_and_nothing_else(&mongo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_gets_it_when_it_is_told_the_password() {
    let mongo = Mongo::start_with_root(ROOT).await;
    let input = json!({"mongo_root_password": [ROOT], "mongo_keeper_password": [KEEPER]});
    let said = mongo.exec(&TELL, &input.to_string());
    assert!(!said.contains(KEEPER) && !said.contains(ROOT), "{said}");
    assert_it_keeps_and_nothing_else(&mongo).await;
}

async fn assert_it_keeps_and_nothing_else(mongo: &Mongo) {
    let root = mongo.login("root", ROOT).await;
    for collection in ["requests", "other"] {
        let database = root.database("myDatabase");
        let collection = database.collection::<Document>(collection);
        collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let own = mongo.login("causeway-keeper", KEEPER).await;
    let database = own.database("myDatabase");
    let admin = own.database("admin");

    // What it is for: to look, to let go, to restore.
    for command in [
        doc! { "find": "requests" },
        doc! { "delete": "requests", "deletes": [{ "q": { "_id": 1 }, "limit": 0 }] },
        doc! { "insert": "requests", "documents": [{ "_id": 1 }] },
        doc! { "listIndexes": "requests" },
        doc! { "aggregate": "requests", "pipeline": [{ "$collStats": { "storageStats": {} } }], "cursor": {} },
        doc! { "dbStats": 1 },
    ] {
        let what = command.to_string();
        let done = database.run_command(command).await;
        assert!(done.is_ok(), "{what}: {done:?}");
    }
    let alone = admin.run_command(doc! { "replSetGetStatus": 1 }).await;
    assert!(alone.unwrap_err().to_string().contains("replSet"));

    refused(
        &database,
        [
            doc! { "update": "requests", "updates": [{ "q": {}, "u": { "$set": { "a": 1 } } }] },
            doc! { "findAndModify": "requests", "query": {}, "update": { "$set": { "a": 1 } } },
            doc! { "aggregate": "requests", "pipeline": [{ "$out": "other" }], "cursor": {} },
            doc! { "aggregate": "requests", "pipeline": [{ "$unionWith": "other" }], "cursor": {} },
            doc! { "createIndexes": "requests", "indexes": [{ "key": { "a": 1 }, "name": "a" }] },
            doc! { "dropIndexes": "requests", "index": "*" },
            doc! { "collMod": "requests", "validator": {} },
            doc! { "drop": "requests" },
            doc! { "find": "other" },
            doc! { "delete": "other", "deletes": [{ "q": {}, "limit": 0 }] },
            doc! { "insert": "other", "documents": [{ "_id": 2 }] },
            doc! { "find": "system.profile" },
            doc! { "create": "another" },
            doc! { "dropDatabase": 1 },
            doc! { "createUser": "mallory", "pwd": "x", "roles": ["readWrite"] },
        ],
    )
    .await;
    refused(
        &admin,
        [
            doc! { "updateUser": "causeway-keeper", "pwd": "changed" },
            doc! { "grantRolesToUser": "causeway-keeper", "roles": ["root"] },
            doc! { "updateRole": "requestKeeper", "roles": ["root"] },
            doc! { "find": "system.users" },
            doc! { "serverStatus": 1 },
            doc! { "replSetGetConfig": 1 },
            doc! { "fsync": 1, "lock": true },
            doc! { "shutdown": 1 },
        ],
    )
    .await;
    refused(
        &own.database("test"),
        [doc! { "find": "requests" }, doc! { "dbStats": 1 }],
    )
    .await;
}

async fn refused(database: &Database, commands: impl IntoIterator<Item = Document>) {
    for command in commands {
        assert_unauthorized(database, command).await;
    }
}

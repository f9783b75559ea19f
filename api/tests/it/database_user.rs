//! What the stack's own init script lets the API's database user do: insert into and find in its
//! collection. Whoever takes the API over gets no more than that.

use mongodb::bson::{Bson, Document, doc};

use crate::support::{Mongo, assert_unauthorized};

const ROOT: &str = "root's";
const API: &str = "recorder's";

#[tokio::test]
async fn the_database_user_inserts_and_finds_in_its_collection_and_nothing_else() {
    let mongo = Mongo::start_as_the_stack_does(ROOT, &[("api", API)]).await;
    let own = mongo.login("causeway-api", API).await;
    let root = mongo.login("root", ROOT).await;
    let database = own.database("myDatabase");
    let admin = own.database("admin");

    // What it is for.
    let requests = database.collection::<Document>("requests");
    requests.insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(
        requests.find_one(doc! {}).await.unwrap(),
        Some(doc! { "_id": 1 })
    );
    // What readiness asks for shows it no other collection.
    let other = root.database("myDatabase").collection::<Document>("other");
    other.insert_one(doc! { "_id": 1 }).await.unwrap();
    let seen = database
        .run_command(doc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true })
        .await
        .unwrap();
    assert_eq!(names(&seen["cursor"], "firstBatch"), ["requests"]);
    // MongoDB answers everybody this, with no more than what the user may read.
    let seen = admin.run_command(doc! { "listDatabases": 1 }).await;
    assert_eq!(
        names(&Bson::Document(seen.unwrap()), "databases"),
        ["myDatabase"]
    );

    for command in on_its_database() {
        assert_unauthorized(&database, command).await;
    }
    for command in on_the_server() {
        assert_unauthorized(&admin, command).await;
    }
    let elsewhere = [own.database("test"), admin, own.database("local")];
    for database in elsewhere {
        assert_unauthorized(
            &database,
            doc! { "insert": "requests", "documents": [{ "_id": 1 }] },
        )
        .await;
        assert_unauthorized(&database, doc! { "find": "requests" }).await;
    }

    // And nothing has happened.
    let left = root
        .database("myDatabase")
        .collection::<Document>("requests");
    assert_eq!(left.count_documents(doc! {}).await.unwrap(), 1);
    assert_eq!(
        left.find_one(doc! {}).await.unwrap(),
        Some(doc! { "_id": 1 })
    );
    let admin = root.database("admin");
    let users = admin.run_command(doc! { "usersInfo": 1 }).await.unwrap();
    assert_eq!(users.get_array("users").unwrap().len(), 4);
    let mut databases = root.list_database_names().await.unwrap();
    databases.sort();
    assert_eq!(databases, ["admin", "config", "local", "myDatabase"]);
}

fn on_its_database() -> Vec<Document> {
    let everything = doc! { "q": {}, "limit": 0 };
    vec![
        // Its collection, in other ways than it may.
        doc! { "update": "requests", "updates": [{ "q": {}, "u": { "$set": { "a": 1 } } }] },
        doc! { "update": "requests", "updates": [{ "q": { "_id": 2 }, "u": { "a": 1 }, "upsert": true }] },
        doc! { "delete": "requests", "deletes": [everything.clone()] },
        doc! { "findAndModify": "requests", "query": {}, "remove": true },
        doc! { "insert": "requests", "documents": [{ "_id": 2 }], "bypassDocumentValidation": true },
        doc! { "aggregate": "requests", "pipeline": [{ "$out": "requests" }], "cursor": {} },
        doc! { "aggregate": "requests", "pipeline": [{ "$merge": "requests" }], "cursor": {} },
        doc! { "aggregate": "requests", "pipeline": [{ "$collStats": { "count": {} } }], "cursor": {} },
        doc! { "drop": "requests" },
        doc! { "createIndexes": "requests", "indexes": [{ "key": { "a": 1 }, "name": "a" }] },
        doc! { "dropIndexes": "requests", "index": "*" },
        doc! { "collMod": "requests", "validationLevel": "off" },
        doc! { "validate": "requests" },
        doc! { "compact": "requests" },
        // Other collections.
        doc! { "insert": "other", "documents": [{ "_id": 2 }] },
        doc! { "find": "other" },
        doc! { "find": "system.profile" },
        doc! { "delete": "other", "deletes": [everything] },
        doc! { "aggregate": "requests", "pipeline": [{ "$lookup": {
            "from": "other", "pipeline": [], "as": "stolen",
        } }], "cursor": {} },
        doc! { "aggregate": "requests", "pipeline": [{ "$unionWith": "other" }], "cursor": {} },
        doc! { "create": "more" },
        doc! { "listCollections": 1 },
        // The database.
        doc! { "dropDatabase": 1 },
        doc! { "dbStats": 1 },
        doc! { "profile": 2 },
        doc! { "createUser": "mallory", "pwd": "x", "roles": ["readWrite"] },
        doc! { "createRole": "more", "privileges": [], "roles": ["readWrite"] },
    ]
}

fn on_the_server() -> Vec<Document> {
    vec![
        // Users and roles, its own among them.
        doc! { "createUser": "mallory", "pwd": "x", "roles": ["root"] },
        doc! { "updateUser": "causeway-api", "pwd": "changed" },
        doc! { "grantRolesToUser": "causeway-api", "roles": ["root"] },
        doc! { "updateRole": "requestRecorder", "roles": ["root"] },
        doc! { "dropUser": "root" },
        doc! { "usersInfo": "root" },
        doc! { "find": "system.users" },
        // The server.
        doc! { "renameCollection": "myDatabase.requests", "to": "test.requests" },
        doc! { "shutdown": 1 },
        doc! { "serverStatus": 1 },
        doc! { "hostInfo": 1 },
        doc! { "getCmdLineOpts": 1 },
        doc! { "getLog": "global" },
        doc! { "getParameter": "*" },
        doc! { "setParameter": 1, "logLevel": 5 },
        doc! { "logRotate": 1 },
        doc! { "fsync": 1, "lock": true },
        doc! { "killAllSessions": [] },
        doc! { "replSetInitiate": {} },
        doc! { "aggregate": 1, "pipeline": [{ "$currentOp": { "allUsers": true } }], "cursor": {} },
        doc! { "aggregate": 1, "pipeline": [{ "$changeStream": {
            "allChangesForCluster": true,
        } }], "cursor": {} },
    ]
}

/// The `name` of each document in the array `field` of `answer`.
fn names(answer: &Bson, field: &str) -> Vec<String> {
    let array = answer.as_document().unwrap().get_array(field).unwrap();
    let name = |entry: &Bson| {
        entry
            .as_document()
            .unwrap()
            .get_str("name")
            .unwrap()
            .to_owned()
    };
    array.iter().map(name).collect()
}

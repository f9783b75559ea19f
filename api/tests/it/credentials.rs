//! Authentication: the right password works, a wrong one is said and never shown.

use std::io::Write as _;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::doc;
use tempfile::NamedTempFile;

use crate::support::{Mongo, Process, eventually, get, post, spawn_app_with};

const ROOT: &str = "r/oot@pass:word";
const SECRET: &str = "sw%rd?fish#1";

/// How long MongoDB may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn password_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn only_the_right_password_makes_it_ready() {
    let mongo = Mongo::start_with_root(ROOT).await;
    let uri = mongo.uri();
    let root_uri = uri.replace("//", "//root:r%2Foot%40pass%3Aword@");
    let admin = Client::with_uri_str(&root_uri)
        .await
        .unwrap()
        .database("admin");
    // No more than what the stack gives the API's user.
    let privilege = doc! {
        "resource": { "db": "own", "collection": "requests" },
        "actions": ["insert", "find"],
    };
    admin
        .run_command(doc! { "createRole": "recorder", "privileges": [privilege], "roles": [] })
        .await
        .unwrap();
    admin
        .run_command(doc! { "createUser": "api", "pwd": SECRET, "roles": ["recorder"] })
        .await
        .unwrap();

    let settings = |file: &NamedTempFile| {
        [
            ("API_DATABASE", "own".to_owned()),
            ("API_WRITE_TIMEOUT", "10s".to_owned()),
            ("API_MONGO_USERNAME", "api".to_owned()),
            (
                "API_MONGO_PASSWORD_FILE",
                file.path().to_str().unwrap().to_owned(),
            ),
        ]
    };

    let right = password_file(&format!("{SECRET}\n"));
    let owned = settings(&right);
    let app = spawn_app_with(&uri, &owned.each_ref().map(|(k, v)| (*k, v.as_str()))).await;
    eventually("ready", PATIENCE, || async {
        (get(app.admin, "/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(post(app.address, b"x").await.status, 200);

    for (wrong, said) in [
        (
            "not-the-password",
            r#"authentication failed for user "api" of authSource "admin""#,
        ),
        (
            "not-the-password\nnor-this-one\n",
            "none of the 2 passwords in API_MONGO_PASSWORD_FILE is accepted",
        ),
    ] {
        let file = password_file(wrong);
        let owned = settings(&file);
        let mut settings = owned.each_ref().map(|(k, v)| (*k, v.as_str())).to_vec();
        settings.push(("API_MONGO_URI", &uri));
        let mut process = Process::start(&settings);
        // The driver finds the server again every second; that is asked for three times.
        for _ in 0..3 {
            assert_eq!(get(process.admin, "/readyz").await.status, 503);
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        let ready = get(process.admin, "/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(ready.body.contains(said), "{}", ready.body);
        assert_eq!(post(process.address, b"x").await.status, 503);
        assert_eq!(get(process.admin, "/healthz").await.status, 200);
        process.terminate();
        process.ended(Duration::from_secs(30)).await;
        let log = process.log.join("\n");
        let refusals = process
            .log
            .iter()
            .filter(|line| line.contains("MongoDB refuses the log-in"));
        let refusals: Vec<_> = refusals.map(|line| line.replace('\\', "")).collect();
        assert_eq!(refusals.len(), 1, "{log}");
        assert!(refusals[0].contains(said), "{log}");
        assert!(!log.contains("takes no writes"), "{log}");
        for password in wrong.lines() {
            assert!(!log.contains(password), "{log}");
        }
    }

    // A ping is answered without authentication; being ready takes more.
    let app = spawn_app_with(
        &uri,
        &[("API_DATABASE", "own"), ("API_WRITE_TIMEOUT", "10s")],
    )
    .await;
    assert_eq!(get(app.address, "/hello").await.status, 200);
    assert_eq!(get(app.admin, "/readyz").await.status, 503);
    assert_eq!(post(app.address, b"x").await.status, 503);
}

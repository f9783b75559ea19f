//! Looks a document up in MongoDB, through the shell in its own container.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::Check;
use super::request::Stored;
use crate::compose::model::{Service, ServiceName};
use crate::engine::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::state::Container;

/// Generous: where MongoDB is emulated and the machine busy, its shell alone takes
/// half a minute to start.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Begins the line with the result. The script spells it in two parts, so that an
/// echo of the script is not taken for it.
const RESULT: (&str, &str) = ("DEPLOY", "RESULT ");

#[derive(Deserialize)]
struct Found {
    collection: Option<String>,
    url: Option<String>,
}

/// The document with the request's id is there and bears its marker.
pub(super) async fn holds(
    engine: &Engine,
    name: &ServiceName,
    service: &Service,
    container: &Container,
    stored: &Stored,
) -> Check {
    let found = match tokio::time::timeout(TIMEOUT, find(engine, service, container, stored)).await
    {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(err)) => Err(err.message),
        Err(_) => Err(format!(
            "the shell gave no answer within {} s",
            TIMEOUT.as_secs()
        )),
    };
    let lost = "was the request answered before it was stored, or by another stack?";
    let (ok, observed, cause) = match found {
        Ok(Found {
            collection: None, ..
        }) => (false, "no such document".to_owned(), lost),
        Ok(Found {
            collection: Some(collection),
            url,
        }) => {
            let url = url.unwrap_or_default();
            if url.contains(&stored.marker) {
                (true, format!("found in {collection}"), "")
            } else {
                (
                    false,
                    format!("a document in {collection} with the URL {url:?}"),
                    lost,
                )
            }
        }
        Err(err) => (false, err, "the check itself could not be made"),
    };
    Check {
        from: container.name.clone(),
        to: name.to_string(),
        by: "document",
        expected: format!("{} with its marker", stored.id),
        observed,
        ok,
        cause: cause.to_owned(),
    }
}

async fn find(
    engine: &Engine,
    service: &Service,
    container: &Container,
    stored: &Stored,
) -> Result<Found> {
    let said = shell(engine, container, &script(service, stored)).await?;
    let marker = format!("{}{}", RESULT.0, RESULT.1);
    let result = said
        .lines()
        .find_map(|line| Some(line.split_once(&marker)?.1))
        .and_then(|json| serde_json::from_str(json.trim()).ok());
    result.ok_or_else(|| {
        let last = said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("nothing");
        Error::failed(
            format!("the shell said {last:?}"),
            "look at the database's log",
        )
    })
}

/// Works in `mongosh` and in the legacy shell; one line, since both read it as if typed.
/// Credentials are read inside the container, where they are.
fn script(service: &Service, stored: &Stored) -> String {
    let setting = |name: &str| {
        let value = service
            .environment
            .get(name)
            .map(|value| json!(value).to_string());
        let file = service.environment.get(&format!("{name}_FILE"));
        let file = file.map(|file| format!("read({})", json!(file)));
        file.or(value)
    };
    let login = match (
        setting("MONGO_INITDB_ROOT_USERNAME"),
        setting("MONGO_INITDB_ROOT_PASSWORD"),
    ) {
        (Some(user), Some(password)) => {
            format!("db.getSiblingDB('admin').auth({user}, {password}); ")
        }
        _ => String::new(),
    };
    format!(
        "function read(f) {{ return (typeof cat === 'function' ? cat(f) : \
         require('fs').readFileSync(f, 'utf8')).trim(); }} {login}\
         var found = {{}}; \
         var names = db.adminCommand({{listDatabases: 1, nameOnly: true}}).databases; \
         for (var i = 0; i < names.length; i++) {{ \
           var name = names[i].name; \
           if (name === 'admin' || name === 'config' || name === 'local') {{ continue; }} \
           var collections = db.getSiblingDB(name).getCollectionNames(); \
           for (var j = 0; j < collections.length; j++) {{ \
             var it = db.getSiblingDB(name).getCollection(collections[j]).findOne({{_id: ObjectId('{}')}}); \
             if (it) {{ found = {{collection: name + '.' + collections[j], url: String(it.url)}}; }} \
           }} }} \
         print('{}' + '{}' + JSON.stringify(found));\n",
        stored.id, RESULT.0, RESULT.1
    )
}

async fn shell(engine: &Engine, container: &Container, script: &str) -> Result<String> {
    let doing = || format!("run mongosh in {}", container.name);
    let words = ["mongosh", "--quiet", "--norc"].map(ToOwned::to_owned);
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(words.into()),
        ..ExecConfig::default()
    };
    let docker = engine.docker();
    let exec = docker
        .create_exec(&container.id, config)
        .await
        .doing(doing)?;
    let started = docker
        .start_exec(&exec.id, None::<StartExecOptions>)
        .await
        .doing(doing)?;
    let StartExecResults::Attached {
        mut output,
        mut input,
    } = started
    else {
        return Err(Error::failed("the engine detached the shell", "run again"));
    };
    let broken = |err: std::io::Error| {
        Error::failed(
            format!("could not {}: {err}", doing()),
            "run `deploy verify` again",
        )
    };
    input.write_all(script.as_bytes()).await.map_err(broken)?;
    input.write_all(b"exit\n").await.map_err(broken)?;
    input.shutdown().await.map_err(broken)?;
    let mut said = Vec::new();
    while let Some(chunk) = output.next().await {
        said.extend_from_slice(&chunk.doing(doing)?.into_bytes());
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

//! Three real mongods as one replica set, which log in to each other by a key file.

use std::process::Command;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use serde_json::{Value, json};

use super::{LIFETIME, START, docker, run_in, unique_name, wait_for};
use crate::engine::{LABEL, succeeds};
use crate::process::run;
use crate::wait::eventually;

/// The only user.
pub const USER: &str = "root";

/// Its password.
pub const PASSWORD: &str = "the-sets-own";

/// The members' containers, each with an address of its own that this machine reaches too; removed on
/// drop. Needs root: members are cut off in their network namespaces.
#[derive(Debug)]
pub struct ReplicaSet {
    network: String,
    containers: Vec<String>,
    subnet: String,
}

impl ReplicaSet {
    /// Starts three members with these settings and waits for a primary.
    pub async fn start(settings: &Value) -> Self {
        let network = unique_name("replica-set");
        let subnet = make_network(&network);
        let mut set = Self {
            network,
            containers: Vec::new(),
            subnet,
        };
        for member in 0..3 {
            set.containers.push(set.run_member(member));
        }
        // Each by itself, before it is told of the others.
        for member in 0..3 {
            wait_for(&format!("mongodb://{}", set.host(member))).await;
        }
        let member = |id| json!({ "_id": id, "host": set.host(id) });
        let config = json!({
            "_id": "rs0",
            "members": [member(0), member(1), member(2)],
            "settings": settings,
        });
        // Members that are slow to answer each other are asked again.
        set.shell(
            0,
            &format!(
                "assert.soon(() => [undefined, 23].includes(rs.initiate({config}).code), 'a set', 60000);
                 assert.soon(() => db.hello().isWritablePrimary, 'a primary', 60000);
                 db.getSiblingDB('admin').createUser(
                   {{user: '{USER}', pwd: '{PASSWORD}', roles: ['root']}}, {{w: 3}})"
            ),
        );
        set
    }

    /// Its connection string, without credentials.
    pub fn uri(&self) -> String {
        let hosts: Vec<_> = (0..3).map(|member| self.host(member)).collect();
        format!("mongodb://{}/?replicaSet=rs0", hosts.join(","))
    }

    /// The same with the user.
    pub fn login_uri(&self) -> String {
        self.uri()
            .replacen("//", &format!("//{USER}:{PASSWORD}@"), 1)
    }

    /// The number of the member that is the primary.
    pub async fn primary(&self) -> usize {
        self.primary_among(&[0, 1, 2]).await
    }

    /// The same, once it is another one than this.
    pub async fn primary_other_than(&self, lost: usize) -> usize {
        let others: Vec<_> = (0..3).filter(|member| *member != lost).collect();
        self.primary_among(&others).await
    }

    async fn primary_among(&self, members: &[usize]) -> usize {
        eventually("a primary", START, || async {
            for member in members {
                let hello = self.ask(*member, doc! { "hello": 1 }).await;
                if hello.is_some_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                    return Some(*member);
                }
            }
            None
        })
        .await
    }

    /// Waits until every member is there, one of them a primary that all follow.
    pub async fn whole(&self) {
        eventually("every member is there", START, || async {
            let primary = self.primary().await;
            let status = self.ask(primary, doc! { "replSetGetStatus": 1 }).await?;
            let members = status.get_array("members").ok()?;
            let good = members.iter().filter_map(|member| {
                let state = member.as_document()?.get_i32("state").ok()?;
                [1, 2].contains(&state).then_some(())
            });
            (good.count() == 3).then_some(())
        })
        .await;
    }

    /// Has the primary give up its place.
    pub async fn step_down(&self, member: usize) {
        let command = doc! { "replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 4 };
        let answer = self.ask(member, command).await;
        assert!(answer.is_some(), "the primary doesn't step down");
    }

    /// Kills a member, as `kill -9` does.
    pub fn kill(&self, member: usize) {
        docker(&["kill", &self.containers[member]]);
    }

    /// Starts it again.
    pub fn start_again(&self, member: usize) {
        docker(&["start", &self.containers[member]]);
    }

    /// Drops every packet between a member and the others; clients still reach it.
    pub fn cut_off(&self, member: usize) {
        for other in (0..3).filter(|other| *other != member) {
            let other = self.address(other);
            self.filter(member, &["-A", "INPUT", "-s", &other, "-j", "DROP"]);
            self.filter(member, &["-A", "OUTPUT", "-d", &other, "-j", "DROP"]);
        }
    }

    /// Lets it reach all again.
    pub fn heal(&self, member: usize) {
        self.filter(member, &["-F"]);
    }

    /// The answer of this member alone to a command; nothing if it doesn't give one.
    pub async fn ask(&self, member: usize, command: Document) -> Option<Document> {
        let database = self.direct(member).await;
        database.run_command(command).await.ok()
    }

    /// The database `admin` of this member alone.
    async fn direct(&self, member: usize) -> Database {
        let host = self.host(member);
        let options = "directConnection=true&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000";
        let uri = format!("mongodb://{USER}:{PASSWORD}@{host}/?{options}");
        let client = Client::with_uri_str(uri).await.unwrap();
        client.database("admin")
    }

    fn host(&self, member: usize) -> String {
        format!("{}:27017", self.address(member))
    }

    fn address(&self, member: usize) -> String {
        format!("{}.{}", self.subnet, member + 2)
    }

    fn run_member(&self, member: usize) -> String {
        // mongod refuses a key that others can read.
        let start = format!(
"install --owner mongodb --mode 0400 /dev/null /key && echo KeyOfTheTests >/key
             exec timeout {LIFETIME} docker-entrypoint.sh mongod --quiet --replSet rs0 --keyFile /key \
               --wiredTigerCacheSizeGB 0.25");
        run_in(
            &[
                "--network",
                &self.network,
                "--ip",
                &self.address(member),
                "--name",
                &unique_name("member"),
            ],
            &start,
        )
    }

    fn shell(&self, member: usize, script: &str) {
        let container = &self.containers[member];
        docker(&[
            "exec", container, "mongosh", "--quiet", "--norc", "--eval", script,
        ]);
    }

    fn filter(&self, member: usize, arguments: &[&str]) {
        let container = &self.containers[member];
        let process = docker(&["inspect", "--format", "{{.State.Pid}}", container]);
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--net", "--target", &process, "iptables", "--wait"]);
        run(nsenter.args(arguments));
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        for container in &self.containers {
            docker(&["rm", "--force", "--volumes", container]);
        }
        docker(&["network", "rm", &self.network]);
    }
}

/// Makes a network, and returns the first three numbers of its addresses: members keep their own
/// through a restart, which takes a subnet that is chosen here.
fn make_network(name: &str) -> String {
    let subnet = (0..=255).map(|third| format!("10.213.{third}"));
    let free = |subnet: &String| {
        let range = format!("{subnet}.0/24");
        succeeds(&[
            "network", "create", "--label", LABEL, "--subnet", &range, name,
        ])
    };
    let mut free = subnet.filter(free);
    free.next().expect("a free subnet")
}

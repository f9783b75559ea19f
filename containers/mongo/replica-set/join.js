// Makes the services of x-replica-set one replica set: initiates it, adds members, removes those that
// the file doesn't have any more, sets its settings. `deploy up` runs it in a member's container after
// each member that is there; on a Swarm, beside the members. Standard input is one JSON object: `name`,
// `members` (services), `present` (those that can be asked by now), `settings`, and `secrets` as
// {"<secret>": ["newest", ...], ...}. The last line of the output is {"changed": [...], "pending": [...],
// "primary": "<service>"}. It can be run again at any time. Works in `mongosh` and in the legacy shell,
// which opens regular files only, but reads a line where it would ask for a password.
var mongosh = typeof require === "function";
var asked = JSON.parse(mongosh ? require("fs").readFileSync(0, "utf8") : passwordPrompt());
var settings = asked.settings || {};
var changed = [], pending = [];
// deploy waits for two minutes.
var patience = 90000, began = Date.now();

function host(service) {
  return service + ":27017";
}

function fail(reason) {
  print(reason);
  quit(1);
}

function admin(host) {
  return new Mongo("mongodb://" + host + "/?directConnection=true&connectTimeoutMS=3000").getDB("admin");
}

// What a member says of itself; nothing where it can't be reached.
function hello(host) {
  try {
    return admin(host).runCommand({ hello: 1 });
  } catch (unreachable) {
    return null;
  }
}

// Kept, since a log-in is made to cost time.
var logins = {};

// mongosh throws where the legacy shell returns 0.
function login(host) {
  if (logins[host]) {
    return logins[host];
  }
  var passwords = asked.secrets.mongo_root_password || [], database = admin(host);
  for (var i = 0; i < passwords.length; i++) {
    try {
      if (Boolean(database.auth("root", passwords[i]))) {
        logins[host] = database;
        return database;
      }
    } catch (refused) {
      continue;
    }
  }
  return fail(host + " accepts none of root's " + passwords.length + " passwords");
}

// The first answer that isn't nothing; `what` is waited for.
function eventually(what, attempt) {
  for (;;) {
    var found = attempt();
    if (found) {
      return found;
    }
    // A connection may have ended with what it was to.
    logins = {};
    if (Date.now() - began > patience) {
      fail("waited " + patience / 1000 + " s in vain: " + what);
    }
    sleep(250);
  }
}

var members = asked.members.map(host), present = asked.present.map(host);

function told() {
  return members.map(hello).filter(function (it) { return it && it.setName; });
}

// A member whose data is gone is given the set by the others; only where nobody knows of one is it new.
function initiate() {
  var first = hello(present[0]);
  if (told().length > 0) {
    return;
  }
  if (!first || !first.isreplicaset) {
    fail(present[0] + " isn't started with --replSet " + asked.name);
  }
  var config = { _id: asked.name, members: [{ _id: 0, host: present[0] }], settings: settings };
  var done = login(present[0]).runCommand({ replSetInitiate: config });
  if (!done.ok) {
    fail("it can't be initiated: " + done.errmsg);
  }
  changed.push("initiated with " + present[0]);
}

// The primary may be one that is about to leave.
function primary() {
  return login(leader());
}

function leader() {
  return eventually("a primary", function () {
    var answers = told();
    for (var i = 0; i < answers.length; i++) {
      var it = answers[i].primary && hello(answers[i].primary);
      if (it && it.isWritablePrimary) {
        return answers[i].primary;
      }
    }
    return null;
  });
}

function config(database) {
  return database.runCommand({ replSetGetConfig: 1 }).config;
}

// One change of who votes at a time; each is known to most before the next.
function reconfigure(what, change) {
  eventually(what, function () {
    var database = primary(), wanted = config(database);
    change(wanted);
    wanted.version++;
    var done;
    try {
      done = database.runCommand({ replSetReconfig: wanted });
    } catch (error) {
      done = { errmsg: error.message };
    }
    if (!done.ok) {
      print(what + ": " + done.errmsg);
    }
    return done.ok;
  });
  changed.push(what);
}

function state(address) {
  var found = primary().runCommand({ replSetGetStatus: 1 }).members.filter(function (it) {
    return it.name === address;
  });
  return found.length > 0 ? found[0].stateStr : "";
}

function serves(address) {
  return ["PRIMARY", "SECONDARY"].indexOf(state(address)) >= 0;
}

function leave(address) {
  if (state(address) === "PRIMARY") {
    var database = login(address);
    eventually(address + " steps down", function () {
      try {
        return database.runCommand({ replSetStepDown: 60, secondaryCatchUpPeriodSecs: 10 }).ok;
      } catch (closed) {
        return true;
      }
    });
  }
  reconfigure("removed " + address, function (wanted) {
    wanted.members = wanted.members.filter(function (it) { return it.host !== address; });
  });
}

// It copies the data first, without a vote: writes don't wait for it.
function enter(address) {
  reconfigure("added " + address, function (wanted) {
    var ids = wanted.members.map(function (it) { return it._id; });
    wanted.members.push({ _id: Math.max.apply(null, ids) + 1, host: address, votes: 0, priority: 0 });
  });
}

function promote(address) {
  var until = Math.min(began + patience, Date.now() + 30000);
  while (!serves(address)) {
    if (Date.now() > until) {
      pending.push(address + " copies the data and has no vote yet: run `deploy up` again");
      return;
    }
    sleep(500);
  }
  reconfigure(address + " has a vote", function (wanted) {
    wanted.members.forEach(function (it) {
      if (it.host === address) {
        it.votes = 1;
        it.priority = 1;
      }
    });
  });
}

function run() {
  initiate();
  var current = config(primary());
  var differs = Object.keys(settings).filter(function (key) {
    return Number(current.settings[key]) !== settings[key];
  });
  if (differs.length > 0) {
    reconfigure("set " + differs.join(", "), function (wanted) {
      differs.forEach(function (key) { wanted.settings[key] = settings[key]; });
    });
  }
  var there = current.members.map(function (it) { return it.host; });
  there.filter(function (it) { return members.indexOf(it) < 0; }).forEach(leave);
  present.filter(function (it) { return there.indexOf(it) < 0; }).forEach(enter);
  config(primary()).members.forEach(function (it) {
    if (it.votes === 0 && present.indexOf(it.host) >= 0) {
      promote(it.host);
    }
  });
  // The next member may be restarted only when this one serves.
  present.filter(function (it) { return there.indexOf(it) >= 0; }).forEach(function (it) {
    eventually(it + " serves", function () { return serves(it); });
  });
}

var leads;
try {
  run();
  leads = leader().replace(/:\d+$/, "");
} catch (error) {
  fail(error.message);
}
print(JSON.stringify({ changed: changed, pending: pending, primary: leads }));

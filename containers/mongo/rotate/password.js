// Gives a database user the new password of a secret: `deploy up --rotate-secrets` runs it in the
// running container. A service's user that isn't there is created: the database may be older than the
// service. The names are set before:
//
//   mongosh --quiet --norc --eval "var user = 'root', secret = 'mongo_root_password'" password.js
//
// Standard input has the passwords, as {"<secret>": ["newest", "the one before"], ...}: what is
// under /run/secrets here may be older. None of them is ever printed. It can be run again at any
// time. Works in `mongosh` and in the legacy shell.

function fail(reason) {
  print("the password of " + user + " can't be changed: " + reason);
  quit(1);
}

// The legacy shell opens regular files only, but reads a line where it would ask for a password.
function read() {
  const mongosh = typeof require === "function";
  const text = mongosh ? require("fs").readFileSync(0, "utf8") : passwordPrompt();
  try {
    return JSON.parse(text);
  } catch (unreadable) {
    // Its message would quote the input.
    return fail("standard input isn't JSON");
  }
}

// Whether the server accepts it: mongosh throws where the legacy shell returns 0.
function login(admin, password) {
  try {
    return Boolean(admin.auth("root", password));
  } catch (refused) {
    return false;
  }
}

// Of a replica set, the member that takes writes.
function primary() {
  const it = db.getSiblingDB("admin").runCommand({ hello: 1 });
  if (it.isWritablePrimary || !it.primary) {
    return db.getSiblingDB("admin");
  }
  return new Mongo("mongodb://" + it.primary + "/?directConnection=true").getDB("admin");
}

load("/rotate/users.js");

function change() {
  const passwords = read();
  const ours = passwords[secret];
  const roots = passwords.mongo_root_password;
  if (!ours || !roots) {
    fail("standard input doesn't have " + secret + " and mongo_root_password");
  }
  const admin = primary();
  let known = false;
  for (let i = 0; i < roots.length && !known; i++) {
    known = login(admin, roots[i]);
  }
  if (!known) {
    fail("the server accepts none of root's " + roots.length + " passwords");
  }
  if (roles[user] && !admin.getUser(user)) {
    createUser(admin, user, ours[0]);
  }
  // Also where the new one works already: only what is in the journal survives a crash, and the
  // old one is about to be forgotten.
  const done = admin.runCommand({
    updateUser: user,
    pwd: ours[0],
    writeConcern: { w: "majority", j: true },
  });
  if (!done.ok || done.writeConcernError) {
    fail(done.errmsg || done.writeConcernError.errmsg);
  }
  print("the password of " + user + " is the new one");
}

try {
  change();
} catch (error) {
  fail(error.message);
}

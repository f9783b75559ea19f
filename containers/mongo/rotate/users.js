// The services' users, and what each may do with the one collection, or where it says so with its database
// or the server; nothing else. Loaded by what creates them: with the database, or later where the database
// is older than the service.
var requests = { db: "myDatabase", collection: "requests" };
var roles = {
  "causeway-api": {
    role: "requestRecorder",
    privileges: [{ resource: requests, actions: ["insert", "find"] }],
  },
  "causeway-console": {
    role: "requestReader",
    privileges: [{ resource: requests, actions: ["find"] }],
  },
  // Lets go of requests, restores them, and tells how much there is, on which disk, on which members.
  "causeway-keeper": {
    role: "requestKeeper",
    privileges: [
      { resource: requests, actions: ["find", "insert", "remove", "collStats", "listIndexes"] },
      { resource: { db: "myDatabase", collection: "" }, actions: ["dbStats"] },
      { resource: { cluster: true }, actions: ["replSetGetStatus"] },
    ],
  },
};

// Can be run again where it was interrupted.
function createUser(admin, user, password) {
  var role = roles[user].role;
  if (!admin.getRole(role)) {
    admin.createRole({ role: role, privileges: roles[user].privileges, roles: [] });
  }
  admin.createUser({ user: user, pwd: password, roles: [role] });
}

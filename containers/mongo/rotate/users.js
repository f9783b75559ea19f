// The services' users, and what each may do with the one collection; nothing else. Loaded by what creates
// them: with the database, or later where the database is older than the service.
var roles = {
  "causeway-api": { role: "requestRecorder", actions: ["insert", "find"] },
  "causeway-console": { role: "requestReader", actions: ["find"] },
};

// Can be run again where it was interrupted.
function createUser(admin, user, password) {
  var role = roles[user].role;
  if (!admin.getRole(role)) {
    admin.createRole({
      role: role,
      privileges: [{ resource: { db: "myDatabase", collection: "requests" }, actions: roles[user].actions }],
      roles: [],
    });
  }
  admin.createUser({ user: user, pwd: password, roles: [role] });
}

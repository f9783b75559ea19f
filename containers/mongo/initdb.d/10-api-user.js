// Runs once, when the database is created: a user for the API that can insert into and read the
// one collection it writes, and nothing else. The password arrives as a secret; it is read here,
// inside the container, so that it never stands in an argument or in the environment.
const secret = "/run/secrets/mongo_api_password";
const password = (typeof cat === "function" ? cat(secret) : require("fs").readFileSync(secret, "utf8")).trim();

const admin = db.getSiblingDB("admin");
admin.createRole({
  role: "requestRecorder",
  privileges: [
    { resource: { db: "myDatabase", collection: "requests" }, actions: ["insert", "find"] },
  ],
  roles: [],
});
admin.createUser({
  user: "causeway-api",
  pwd: password,
  roles: ["requestRecorder"],
});

// Runs once, when the database is created: the services' users. The passwords arrive as secrets; they are
// read here, inside the container, so that they never stand in an argument or in the environment.
load("/rotate/users.js");

function secret(name) {
  const file = "/run/secrets/" + name;
  return (typeof cat === "function" ? cat(file) : require("fs").readFileSync(file, "utf8")).trim();
}

const admin = db.getSiblingDB("admin");
createUser(admin, "causeway-api", secret("mongo_api_password"));
createUser(admin, "causeway-console", secret("mongo_console_password"));
createUser(admin, "causeway-keeper", secret("mongo_keeper_password"));

// Finds the document of a request (`document` under x-verify in compose.yaml). Standard input is one JSON
// object: the document's `id`, the `marker` in its URL, and `secrets` as {"<secret>": ["newest", "the one
// before"], ...}. The last line of the output is {"found": WHERE}, {"instead": WHAT} or {}. Works in
// `mongosh` and in the legacy shell, which opens regular files only, but reads a line where it would ask
// for a password.
var mongosh = typeof require === 'function';
function read(file) {
  return mongosh ? require('fs').readFileSync(file, 'utf8') : cat(file);
}
function login(password) {
  // Boolean: mongosh waits for what it returns only where the value is needed.
  try { return Boolean(db.getSiblingDB('admin').auth('root', password)); } catch (refused) { return false; }
}
function search(id, marker) {
  var names = db.adminCommand({listDatabases: 1, nameOnly: true}).databases;
  for (var i = 0; i < names.length; i++) {
    var name = names[i].name;
    if (name === 'admin' || name === 'config' || name === 'local') { continue; }
    var collections = db.getSiblingDB(name).getCollectionNames();
    for (var j = 0; j < collections.length; j++) {
      var found = db.getSiblingDB(name).getCollection(collections[j]).findOne({_id: ObjectId(id)});
      if (!found) { continue; }
      var where = name + '.' + collections[j], url = String(found.url);
      if (url.indexOf(marker) >= 0) { return {found: where}; }
      return {instead: 'a document in ' + where + ' with the URL ' + JSON.stringify(url)};
    }
  }
  return {};
}
// Of a replica set, the member that takes writes.
var here = db.adminCommand({hello: 1});
if (!here.isWritablePrimary && here.primary) {
  db = new Mongo('mongodb://' + here.primary + '/?directConnection=true').getDB('admin');
}
var asked = JSON.parse(mongosh ? read(0) : passwordPrompt());
// Not everybody who may ask the engine may read the files on the host. The one here may be older.
var passwords = asked.secrets.mongo_root_password || [read('/run/secrets/mongo_root_password').trim()];
for (var n = 0; n < passwords.length; n++) {
  if (login(passwords[n])) { break; }
}
print(JSON.stringify(search(asked.id, asked.marker)));

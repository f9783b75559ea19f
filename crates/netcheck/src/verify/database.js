// Looks a document up in every collection, and prints where it is and what URL it bears. Reads one
// JSON object: the document's id, and how the root user logs in.
//
// The legacy shell opens regular files only, but reads a line where it would ask for a password.
var mongosh = typeof require === 'function';
function read(file) {
  return mongosh ? require('fs').readFileSync(file, 'utf8') : cat(file);
}
function candidates(setting) {
  if (!setting) { return []; }
  return setting.file ? [read(setting.file).trim()] : setting.values;
}
function login(user, password) {
  // Boolean: mongosh waits for what it returns only where the value is needed.
  try { return Boolean(db.getSiblingDB('admin').auth(user, password)); } catch (refused) { return false; }
}
function search(id) {
  var names = db.adminCommand({listDatabases: 1, nameOnly: true}).databases;
  for (var i = 0; i < names.length; i++) {
    var name = names[i].name;
    if (name === 'admin' || name === 'config' || name === 'local') { continue; }
    var collections = db.getSiblingDB(name).getCollectionNames();
    for (var j = 0; j < collections.length; j++) {
      var found = db.getSiblingDB(name).getCollection(collections[j]).findOne({_id: ObjectId(id)});
      if (found) { return {collection: name + '.' + collections[j], url: String(found.url)}; }
    }
  }
  return {};
}
var asked = JSON.parse(mongosh ? read(0) : passwordPrompt());
var users = candidates(asked.user), passwords = candidates(asked.password);
for (var n = 0; n < passwords.length; n++) {
  if (login(users[0], passwords[n])) { break; }
}
print('DEPLOYRESULT ' + JSON.stringify(search(asked.id)));

// Runs once, when the database is created: the indexes that searches need (docs/search.md has what each
// is for, and what it costs those who write). It can be run again at any time, with the stack up:
// an index that is there stays as it is.
const requests = db.getSiblingDB("myDatabase").getCollection("requests");
requests.createIndex({ method: 1, _id: -1 });
requests.createIndex({ remote_addr: 1, _id: -1 });

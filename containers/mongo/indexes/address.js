// Not run by itself: makes searches by address quick in a large collection, and costs those who write
// (docs/search.md has how much, and how to run and undo this).
db.getSiblingDB("myDatabase").getCollection("requests").createIndex({ remote_addr: 1, _id: -1 });

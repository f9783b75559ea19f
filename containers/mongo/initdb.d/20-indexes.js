// Runs once, when the database is created: the one index besides _id's that costs writers next to
// nothing. docs/search.md has the figures. It can be run again at any time, with the stack up.
//
// Methods that are neither GET nor POST are rare, so that a search for one of them would have to look
// at everything. GET and POST, which nearly all requests have, aren't in it.
db.getSiblingDB("myDatabase").getCollection("requests").createIndex(
  { method: 1, _id: -1 },
  {
    partialFilterExpression: {
      $or: [
        { method: { $lt: "GET" } },
        { method: { $gt: "GET", $lt: "POST" } },
        { method: { $gt: "POST" } },
      ],
    },
  },
);

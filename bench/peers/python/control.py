"""The harness's hand in the database: commands as JSON lines on standard input, answers as JSON
lines on standard output.

    {"do": "drop"}                     remove every document
    {"do": "seed", "documents": n}     leave exactly n documents there, shaped like stored requests
    {"do": "trim"}                     remove what came after the last seed
    {"do": "count"}                    how many documents there are
    {"do": "version"}                  the server's version
"""

import json
import os
import sys
import time
from pathlib import Path

from bson import ObjectId
from pymongo import MongoClient

BATCH = 5000
FIRST = ObjectId("000000000000000000000000")

client = MongoClient(
    "mongo",
    27017,
    username=os.environ["MONGO_USERNAME"],
    password=Path(os.environ["MONGO_PASSWORD_FILE"]).read_text().strip(),
    serverSelectionTimeoutMS=180_000,
)
collection = client["myDatabase"]["requests"]
last_seed = FIRST


def stored_request() -> dict:
    return {
        "endpoint": "home",
        "method": "GET",
        "url": "http://bench.test/",
        "headers": {
            "Host": "bench.test",
            "Accept": "*/*",
            "Accept-Encoding": "gzip, compress, deflate, br",
            "Connection": "close",
        },
        "data": "",
    }


def drop(_: dict) -> int:
    global last_seed
    collection.drop()
    last_seed = FIRST
    return 0


def seed(command: dict) -> int:
    global last_seed
    drop(command)
    missing = command["documents"]
    while missing:
        size = min(BATCH, missing)
        inserted = collection.insert_many([stored_request() for _ in range(size)], ordered=False)
        missing -= size
        last_seed = max(last_seed, *inserted.inserted_ids)
    # An id begins with the second it was made in: whatever is stored from the next second on sorts
    # behind the seed, whoever makes its id.
    time.sleep(1.1)
    return collection.count_documents({})


def trim(_: dict) -> int:
    collection.delete_many({"_id": {"$gt": last_seed}})
    return collection.count_documents({})


def count(_: dict) -> int:
    return collection.count_documents({})


def version(_: dict) -> str:
    return client.server_info()["version"]


COMMANDS = {"drop": drop, "seed": seed, "trim": trim, "count": count, "version": version}

for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = {"value": COMMANDS[command["do"]](command)}
    except Exception as error:  # the harness decides what a failure means
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

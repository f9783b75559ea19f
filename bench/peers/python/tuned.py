"""The same Flask app as somebody who knows Python runs it, under gunicorn (gunicorn.conf.py).

A pooled client for each worker process, as many connections as the worker has threads, and the
write concern that Causeway answers by: acknowledged by the majority and in the journal.
"""

import os
from pathlib import Path

from flask import Flask, Response, request
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

app = Flask(__name__)

client = MongoClient(
    "mongo",
    27017,
    username=os.environ["MONGO_USERNAME"],
    password=Path(os.environ["MONGO_PASSWORD_FILE"]).read_text().strip(),
    maxPoolSize=int(os.environ["APP_THREADS"]),
    serverSelectionTimeoutMS=5000,
)
collection = client["myDatabase"].get_collection("requests", write_concern=WriteConcern(w="majority", j=True))


@app.route("/", methods=["GET", "POST"])
def home() -> Response:
    document = {
        "endpoint": "home",
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "data": request.get_data().decode("utf-8", errors="replace"),
    }
    try:
        result = collection.insert_one(document)
    except PyMongoError:
        return Response("Mongo is not available\n", status=503)
    return Response(f"Request information stored successfully: {result.inserted_id}\n")

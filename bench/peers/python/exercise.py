"""The exercise's Flask app: one route that stores the request and answers with its id.

As written there, but for the credentials, and POST beside GET so that bodies can be measured. It
runs on Flask's own server and inserts with the driver's default write concern.
"""

import os
from pathlib import Path

from flask import Flask, request
from pymongo import MongoClient

app = Flask(__name__)

client = MongoClient(
    "mongo",
    27017,
    username=os.environ["MONGO_USERNAME"],
    password=Path(os.environ["MONGO_PASSWORD_FILE"]).read_text().strip(),
)
db = client["myDatabase"]
collection = db["requests"]


@app.route("/", methods=["GET", "POST"])
def home():
    try:
        request_info = {
            "endpoint": "home",
            "method": request.method,
            "url": request.url,
            "headers": dict(request.headers),
            "data": request.data.decode("utf-8"),
        }
        result = collection.insert_one(request_info)
        return f"Request information stored successfully: {result.inserted_id}\n"
    except Exception:
        return "Mongo is not available"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=9090)

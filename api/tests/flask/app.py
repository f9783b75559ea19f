"""The Flask application that the API replaces, for the parity tests.

It has the exercise's one route and document. The route is widened to every method, and addresses
come from the command line: app.py MONGO_URI DATABASE. Prints the port it listens on.
"""

import sys

from flask import Flask, request
from pymongo import MongoClient
from werkzeug.routing import Rule
from werkzeug.serving import make_server

app = Flask(__name__)
collection = MongoClient(sys.argv[1])[sys.argv[2]]["requests"]


@app.endpoint("home")
def home():
    document = {
        "endpoint": "home",
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "data": request.get_data(as_text=True),
    }
    request_id = collection.insert_one(document).inserted_id
    return f"Request information stored successfully: {request_id}\n"


# A rule without methods takes them all, unknown ones too.
app.url_map.add(Rule("/", endpoint="home"))

server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()

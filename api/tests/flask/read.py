"""Rebuilds recorded requests from their documents, as another program would: with PyMongo's BSON.

read.py MONGO_URI DATABASE: prints an object of JSON that has, by each document's id, the method, the
target, the fields as [name in lower case, value in hex], and the body in hex.
"""

import json
import sys

from bson import decode
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient


def rebuilt(document):
    original = document.get("original", {})
    target = "/" + document["url"].split("://", 1)[1].split("/", 1)[1]
    lines = original.get("headers", [])
    in_full = {name for name, _ in lines}
    lines += [[name, value] for name, value in document["headers"].items() if name not in in_full]
    body = document.get("body", document["data"].encode())
    return [
        original.get("method", document["method"]),
        original.get("target", target),
        [[name.lower(), value.encode("latin-1").hex()] for name, value in lines],
        body.hex(),
    ]


raw = MongoClient(sys.argv[1], document_class=RawBSONDocument)[sys.argv[2]]["requests"]
documents = (decode(document.raw) for document in raw.find())
json.dump({str(document["_id"]): rebuilt(document) for document in documents}, sys.stdout)

"""Lints responses with httplint. Reads JSON lines {name, request, response}, both whole and in Base64; prints what is warned of or bad."""

import json
import sys
import time
from base64 import b64decode

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels


def parse(message):
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = [line.split(b":", 1) for line in lines if b":" in line]
    return first.split(b" ", 2), [(name, value.strip()) for name, value in fields], body


def lint(request, response):
    linted = HttpResponseLinter(start_time=time.time())
    first, fields, body = parse(request)
    if len(first) == 3:  # others are refused because they aren't requests
        method, target, version = first
        linted.request = HttpRequestLinter()
        linted.request.process_request_topline(method, target, version.removeprefix(b"HTTP/"))
        linted.request.process_headers(fields)
        linted.request.feed_content(body)
        linted.request.finish_content(True)
        linted.is_head_response = method == b"HEAD"
    (version, status, phrase), fields, body = parse(response)
    linted.process_response_topline(version.removeprefix(b"HTTP/"), status, phrase)
    linted.process_headers(fields)
    linted.feed_content(body)
    linted.finish_content(True)
    return linted.notes


def all_notes(notes):
    for note in notes:
        yield note
        yield from all_notes(note.subnotes)


for line in sys.stdin:
    case = json.loads(line)
    for note in all_notes(lint(b64decode(case["request"]), b64decode(case["response"]))):
        if note.level in (levels.WARN, levels.BAD):
            found = {"name": case["name"], "id": type(note).__name__, "level": note.level.value, "summary": str(note.summary)}
            print(json.dumps(found))

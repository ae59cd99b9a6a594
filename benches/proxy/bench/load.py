"""Clients: wrk and openssl for CPU time, h2load under valgrind, and this project's own for latency and thousands of connections."""

import re
import subprocess
import time

from . import programs, webhook
from .process import Failed


def wrk(session, port, path, seconds, close=False, tls=False, spread=1, connections=64):
    """Sends requests for some seconds, each on its own connection if `close`; then TLS sessions are resumed. Returns how many were
    answered. With `spread` the paths are `path` and a number below it, in turn."""
    script = session.write("post.lua", wrk_script(path, close, spread))
    url = "%s://127.0.0.1:%d%s" % ("https" if tls else "http", port, path)
    command = [programs.find("wrk"), "-t1", "-c%d" % connections, "-d%ds" % seconds, "-s", script, url]
    client = session.run(command, session.client_core, stdout=subprocess.PIPE, text=True)
    said, _ = client.child.communicate()
    session.stop([client])
    done = re.search(r"(\d+) requests in", said)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: connect [1-9].*", said)
    if not done or bad or done.group(1) == "0":
        raise Failed("wrk: %s" % said)
    return int(done.group(1))


def wrk_script(path, close, spread):
    headers = dict(webhook.HEADERS, **({"Connection": "close"} if close else {}))
    lines = ['wrk.method = "POST"', 'wrk.body = "%s"' % webhook.MESSAGE]
    lines += ['wrk.headers["%s"] = "%s"' % header for header in headers.items()]
    if spread > 1:
        lines += ["local number = 0", "function request()", "  number = (number + 1) % " + str(spread),
                  '  return wrk.format(nil, "%s" .. number)' % path, "end"]
    return "\n".join(lines)


def full_handshakes(session, port, path, seconds):
    """Sends requests over TLS, each on its own connection, one after another, and resumes no session, as wrk does. Returns how many
    were answered. They have no body."""
    command = [programs.find("openssl"), "s_time", "-connect", "127.0.0.1:%d" % port, "-new", "-www", path, "-time", str(seconds)]
    client = session.run(command, session.client_core, stdout=subprocess.PIPE, text=True)
    said, _ = client.child.communicate()
    session.stop([client])
    done = re.search(r"(\d+) connections in \d+ real seconds, (\d+) bytes read", said)
    # A response to each: a document with its head.
    if not done or int(done.group(2)) < len(webhook.VOICE):
        raise Failed("openssl s_time: %s %s" % (said, client.said()))
    return int(done.group(1))


def h2load(session, port, path, requests, connections):
    """Sends exactly this many requests over HTTP/1.1."""
    body = session.write("body", webhook.MESSAGE)
    headers = [part for header in webhook.HEADERS.items() for part in ("-H", "%s: %s" % header)]
    command = [programs.find("h2load"), "--h1", "-t1", "-n%d" % requests, "-c%d" % connections, "-d", body, *headers,
               "http://127.0.0.1:%d%s" % (port, path)]
    client = session.run(command, session.client_core, stdout=subprocess.PIPE, text=True)
    said, _ = client.child.communicate()
    session.stop([client])
    if "%d 2xx" % requests not in said:
        raise Failed("h2load: %s" % said)


def latency(session, port, path, rate, seconds, connections=64):
    """The percentiles of the time of an answer, in microseconds by their names, at a fixed rate of requests per second."""
    arguments = ["127.0.0.1:%d" % port, session.request_file(path), str(rate), str(seconds), str(connections)]
    return numbers(own(session, "latency", *arguments))


def crowd(session, port, path, count):
    """How long the slowest answer takes of requests that are sent at once, in microseconds."""
    return numbers(own(session, "crowd", "127.0.0.1:%d" % port, session.request_file(path), str(count)))["slowest"]


def own(session, *arguments):
    client = session.run([programs.build("load"), *arguments], session.client_core, stdout=subprocess.PIPE, text=True)
    said, _ = client.child.communicate()
    session.stop([client])
    if client.child.returncode != 0:
        raise Failed("load %s: %s" % (arguments[0], client.said()))
    return said


def numbers(text):
    return {name: int(number) for name, number in (line.split() for line in text.splitlines())}


class Held:
    """Connections that stay open until they are closed, in one of the states of `load`: idle, busy, waiting."""

    def __init__(self, session, state, port, path, count):
        self.session = session
        command = [programs.build("load"), state, "127.0.0.1:%d" % port, session.request_file(path), str(count)]
        self.client = session.run(command, session.client_core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.client.child.stdout.readline() != "ready\n":
            raise Failed("load %s: %s" % (state, self.client.said()))

    def close(self):
        self.client.child.stdin.close()
        self.client.child.wait()
        self.session.stop([self.client])


def wait_until_steady(value, within, still=1.0):
    """Waits until `value()` hasn't changed for `still` seconds, for `within` seconds at most. Returns it."""
    end = time.monotonic() + within
    last, since = value(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < still:
        time.sleep(0.1)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last

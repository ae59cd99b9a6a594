"""An app and a client that go on only when the proxy has nothing left to do, so that it takes the same steps however busy the machine
is. Otherwise a response is sometimes there before the proxy waits for it, which saves it a wake-up."""

import os
import socket
import threading
import time

from . import webhook

RESPONSE = (
    "HTTP/1.1 200 OK\r\nServer: app\r\nDate: Sun, 29 Nov 2026 00:00:00 GMT\r\nContent-Type: text/xml\r\n"
    "Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s" % (len(webhook.VOICE), webhook.VOICE)
).encode()
REQUEST = webhook.raw_request("/voice").encode()


class App:
    """Answers each request with the document, on one connection after another."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                while read_message(connection):
                    # Set before the first request.
                    wait_until_idle(self.process)
                    connection.sendall(RESPONSE)

    def send_requests(self, proxy, number):
        """Sends this many requests to a proxy before this app, on one connection."""
        self.process = proxy.process
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(number):
                wait_until_idle(proxy.process)
                connection.sendall(REQUEST)
                if not read_message(connection).endswith(webhook.VOICE.encode()):
                    raise ConnectionError("a request was not answered with the app's document")


def wait_until_idle(process):
    """Waits until every thread of a process sleeps. Under valgrind they also sleep while another has its turn, but never all."""
    folder = "/proc/%d/task" % process.child.pid
    while any(state_of(folder, task) != "S" for task in os.listdir(folder)):
        time.sleep(0.0002)


def state_of(folder, task):
    try:
        with open("%s/%s/stat" % (folder, task)) as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        # It has ended.
        return "S"


def read_message(connection):
    """A request or a response that has a Content-Length; empty at the end of the connection."""
    message = b""
    while True:
        head, _, body = message.partition(b"\r\n\r\n")
        if body and len(body) >= content_length(head):
            return message
        part = connection.recv(65536)
        if not part:
            return b""
        message += part


def content_length(head):
    lines = head.lower().split(b"\r\n")
    return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))

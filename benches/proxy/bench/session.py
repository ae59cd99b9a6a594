"""What all measurements share: a folder, the app, and proxies that are started in front of it."""

import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.request

from . import programs, proxies, webhook
from .process import Failed, Process, cores, free_port, say


class Session:
    """Ends what it has started when it is left."""

    def __init__(self, understudy, only_proxies=None, with_app=True):
        self.understudy = os.path.abspath(understudy)
        wanted = ["understudy", *(only_proxies or proxies.NEEDS)]
        self.proxies = [name for name in proxies.installed() if name in wanted]
        self.proxy_core, self.app_core, self.client_core = cores()
        self.with_app = with_app
        self.started = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="understudy-bench-")
        # nginx gives up its rights before it reads the documents.
        os.chmod(self.folder, 0o755)
        try:
            if self.with_app:
                self.start_app()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(self.started)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_app(self):
        self.app_port = free_port()
        command = proxies.app_command(self.folder, self.app_port)
        self.run(command, self.app_core, "app.err").wait_until_listening(self.app_port)

    def run(self, command, core, log="client.err", **options):
        process = Process(command, core, os.path.join(self.folder, log), **options)
        self.started.append(process)
        return process

    def stop(self, processes):
        for process in list(processes):
            process.stop()
            self.started.remove(process)

    def write(self, name, text):
        return proxies.write(self.folder, name, text)

    def request_file(self, path):
        return self.write("request" + path.replace("/", "-"), webhook.raw_request(path))

    def start_proxy(self, name, prefix=(), app=None, **setup):
        """Starts a proxy in front of the app, or of what listens on the port `app`. `prefix` is a command that runs it."""
        setup = proxies.Setup(
            self.folder, app or self.app_port, free_port(), admin=free_port(), closed=free_port(), **setup
        )
        command = [*prefix, *proxies.command(name, setup, self.understudy)]
        process = self.run(command, self.proxy_core, "%s-%d.err" % (name, setup.port))
        process.wait_until_listening(setup.port)
        if name == "understudy":
            # Its socket takes connections before its routes are there.
            process.wait_until_ready(setup.admin)
        return Proxy(name, process, setup)

    def start_proxies(self, names, **setup):
        """Those of the proxies that can be started; of the others a line says why not."""
        return of_each(names, lambda name: self.start_proxy(name, **setup))

    def stop_proxies(self, running):
        self.stop(proxy.process for proxy in running)

    def start_silent_app(self):
        """An app that never answers, and keeps every connection. Returns the process and its port."""
        port = free_port()
        process = self.run([programs.build("load"), "silent", "127.0.0.1:%d" % port], self.app_core)
        return process.wait_until_listening(port), port

    def make_certificate(self):
        """A certificate for the proxies. Returns its path without its ending."""
        path = os.path.join(self.folder, "tls")
        subprocess.run(
            [programs.find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", path + ".key", "-out", path + ".crt"],
            check=True, capture_output=True,
        )
        with open(path + ".crt") as certificate, open(path + ".key") as key:
            self.write("tls.pem", certificate.read() + key.read())
        return path


def of_each(names, function):
    """What `function` returns for each name. One for which it fails is left out, with a line that says so."""
    found = {}
    for name in names:
        try:
            found[name] = function(name)
        except Failed as failure:
            say("%s is left out: %s" % (name, failure))
    return found


class Proxy:
    """A proxy that runs."""

    def __init__(self, name, process, setup):
        self.name, self.process, self.setup = name, process, setup
        self.port = setup.port

    def post(self, path):
        """Sends the request, and returns the status, the headers and the body of its response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, webhook.MESSAGE, webhook.HEADERS)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """What understudy's admin listener has for Prometheus."""
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.setup.admin, timeout=60) as response:
            return response.read()

    def expect(self, path, document):
        """Fails unless a request for this path is answered with this document."""
        status, _, body = self.post(path)
        if (status, body) != (200, document):
            raise Failed("%s answers %s with %d and %d bytes: %s" % (self.name, path, status, len(body), body[:200]))

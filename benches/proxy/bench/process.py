"""Processes under measurement: started on one core, asked what they use, and ended."""

import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
# What the largest measurement needs: two for each of 10,000 requests, and some.
DESCRIPTORS = 24000


class Failed(Exception):
    """A measurement that could not be made, and why."""


def say(line):
    """Tells what is going on. Standard output is for the table."""
    print(line, file=sys.stderr, flush=True)


def raise_descriptors():
    """Raises the limit of open files, for everything that is started from here, as far as is needed and allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, DESCRIPTORS), hard):
        try:
            return resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (ValueError, OSError):
            pass


def descriptors():
    """The limit of open files, or as many as are needed at most."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], DESCRIPTORS)


def cores():
    """The cores for the proxy, for the app, and for the clients. They share what there is."""
    own = sorted(os.sched_getaffinity(0))
    return own[0], own[min(1, len(own) - 1)], own[min(2, len(own) - 1)]


_given = set()


def free_port():
    """A port on which nobody listens, another one each time. It is none of those that the kernel gives to connections, or one might take
    it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(1024, max(first, 20000))
        if port in _given:
            continue
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                _given.add(port)
                return port
            except OSError:
                continue


class Process:
    """A process that is pinned to a core. Its output goes to a file, and is shown if it fails."""

    def __init__(self, command, core, log, **options):
        self.log = log
        with open(log, "ab") as output:
            self.child = subprocess.Popen(
                command,
                stdout=options.pop("stdout", subprocess.DEVNULL),
                stderr=output,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
                **options,
            )

    def wait_until_listening(self, port, timeout=60):
        """Waits until connections to this port are accepted."""
        end = time.monotonic() + timeout
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return self
            except OSError:
                if self.child.poll() is not None or time.monotonic() > end:
                    raise Failed("%s does not listen: %s" % (self.child.args[0], self.said()))
                time.sleep(0.05)

    def wait_until_ready(self, admin):
        """Waits until understudy's admin listener says that it is ready."""
        while True:
            try:
                return urllib.request.urlopen("http://127.0.0.1:%d/readyz" % admin, timeout=60).close()
            except OSError:
                if self.child.poll() is not None:
                    raise Failed("%s is not ready: %s" % (self.child.args[0], self.said()))
                time.sleep(0.05)

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def cpu_seconds(self):
        """The time that it has used, in user space and in the kernel."""
        with open("/proc/%d/stat" % self.child.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_kib(self):
        with open("/proc/%d/status" % self.child.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

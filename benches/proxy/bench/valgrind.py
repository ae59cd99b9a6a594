"""Counts of what a request takes of the processor, which are the same on every run: a proxy under valgrind, twice, with different
numbers of requests. The difference of the two leaves out its start and its end."""

import re

from . import load, programs
from .process import Failed

# A plain cache for every machine: 32 KiB for instructions and for data, 8 MiB behind them.
CACHES = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=8388608,16,64"]
TOOLS = {
    "callgrind": ["--tool=callgrind"],
    "cachegrind": ["--tool=cachegrind", "--cache-sim=yes", "--branch-sim=yes", *CACHES],
}
COUNTS = {
    "callgrind": {"instructions": r"Collected : (\d+)"},
    "cachegrind": {"data_misses": r"D1  misses:\s+([\d,]+)", "mispredictions": r"Mispredicts:\s+([\d,]+)"},
}


def per_request(session, name, tool, requests=(2000, 8000), send=None, app=None, path="/voice"):
    """What a request costs, by the names of `COUNTS`. `send(proxy, number)` sends requests; else h2load does."""
    send = send or (lambda proxy, number: load.h2load(session, proxy.port, path, number, connections=64))
    few, many = (counts(session, name, tool, number, send, app) for number in requests)
    return {count: (many[count] - few[count]) / (requests[1] - requests[0]) for count in few}


def counts(session, name, tool, requests, send, app):
    output = session.write("%s.out" % tool, "")
    log = session.write("%s.log" % tool, "")
    prefix = [programs.find("valgrind"), *TOOLS[tool], "--%s-out-file=%s" % (tool, output), "--log-file=" + log]
    proxy = session.start_proxy(name, prefix, app)
    # What happens once only, happens in the first.
    send(proxy, 100)
    send(proxy, requests)
    session.stop_proxies([proxy])
    with open(log) as file:
        said = file.read()
    return {count: last_number(pattern, said) for count, pattern in COUNTS[tool].items()}


def last_number(pattern, said):
    found = re.findall(pattern, said)
    if not found:
        raise Failed("valgrind: %s" % said[-1000:])
    return int(found[-1].replace(",", ""))

"""Each measurement: what it is called, what it needs, and how it is made. Each returns rows of the table."""

import re
import statistics
import time

from . import load, proxies, valgrind, webhook
from .process import Failed, descriptors, say
from .proxies import REFERENCE
from .session import of_each

# These answer with a document when the app doesn't.
WITH_FALLBACK = ("understudy", "haproxy-wfb", "nginx")
# Envoy starts too slowly under valgrind to be worth it.
UNDER_VALGRIND = ("understudy", "haproxy-wfb", "haproxy", "nginx", "hyper")


class Options:
    """How long to measure."""

    def __init__(self, rounds=7, seconds=3, rate=5000, connections=4000, crowd=10000, settle=20):
        self.rounds, self.seconds = rounds, seconds
        # Requests per second for latency, connections for memory, and requests at once.
        self.rate, self.connections, self.crowd = rate, connections, crowd
        # How long memory may take to go back, in seconds: longer than a late response is waited for.
        self.settle = settle


class Row:
    """A row of the table: a title, and a text for some of the proxies."""

    def __init__(self, title, cells):
        self.title, self.cells = title, cells


def among(session, names):
    """Those of the names that are measured."""
    return [name for name in session.proxies if name in names]


class Subject:
    """A proxy under one kind of load."""

    def __init__(self, proxy, path, client=load.wrk, **options):
        self.proxy, self.path, self.client, self.options = proxy, path, client, options

    def request(self, session, seconds):
        """Sends requests for some seconds, and returns how many were answered."""
        return self.client(session, self.proxy.port, self.path, seconds, **self.options)


def cpu(session, options):
    """CPU time of a request for `/voice`, 311 bytes, and of one whose document is another each time"""
    same = compare_with_reference(session, options, "CPU of a request", "/voice", webhook.VOICE)
    return same + compare_with_reference(session, options, "CPU of a request, each document new", "/new", None)


def big(session, options):
    """CPU time of a request for `/big`, 64 KiB"""
    return compare_with_reference(session, options, "CPU of a 64 KiB document", "/big", webhook.BIG, buffer=131072)


def close(session, options):
    """CPU time of a request on a connection of its own"""
    return compare_with_reference(session, options, "CPU of a request on its own connection", "/voice", webhook.VOICE, close=True)


def compare_with_reference(session, options, title, path, document, close=False, **setup):
    running = session.start_proxies(session.proxies, **setup)
    if document:
        for proxy in running.values():
            proxy.expect(path, document)
    subjects = {name: Subject(proxy, path, close=close) for name, proxy in running.items()}
    samples = cpu_samples(session, options, subjects)
    session.stop_proxies(running.values())
    microseconds = {name: "%.1f" % statistics.median(own) for name, own in samples.items()}
    return [Row(title + ", ratio", ratios(samples, REFERENCE)), Row(title + ", µs", microseconds)]


def tls(session, options):
    """CPU time of a request over TLS: on a connection of its own with a full handshake, or with a session that is resumed, and on a
    connection that stays"""
    running = session.start_proxies(among(session, ("understudy", REFERENCE)), tls=session.make_certificate())
    rows = []
    for title, load_options in (
        ("with a full handshake", {"client": load.full_handshakes}),
        ("with a resumed session", {"tls": True, "close": True}),
        ("on a connection that stays", {"tls": True}),
    ):
        subjects = {name: Subject(proxy, "/voice", **load_options) for name, proxy in running.items()}
        rows.append(Row("CPU of a request over TLS %s, ratio" % title, ratios(cpu_samples(session, options, subjects), REFERENCE)))
    session.stop_proxies(running.values())
    return rows


def breaker(session, options):
    """CPU time of the answer of an open breaker, relative to that of a request that goes to the app"""
    proxy = session.start_proxy("understudy")
    for _ in range(10):
        _, headers, _ = proxy.post("/down")
    if headers["Understudy-Fallback"] != "breaker_open":
        raise Failed("the breaker is not open: %s" % headers["Understudy-Fallback"])
    subjects = {"open": Subject(proxy, "/down"), "closed": Subject(proxy, "/voice")}
    samples = cpu_samples(session, options, subjects)
    session.stop_proxies([proxy])
    title = "CPU of an open breaker's answer, ratio to a request that goes to the app"
    return [Row(title, {"understudy": ratio(samples["open"], samples["closed"])})]


def routes(session, options):
    """CPU time of a request with 10,000 routes, of which one is requested or each in turn, relative to that with one route"""
    count = 10000
    many = session.start_proxy("understudy", routes=many_routes(count))
    rows = []
    for title, path, spread, single in (
        ("one of 10,000 routes", "/r%d" % (count - 1), 1, "/r%d" % (count - 1)),
        ("each of 10,000 routes in turn", "/r", count, "/*"),
    ):
        one = session.start_proxy("understudy", routes=proxies.route("single", single))
        samples = cpu_samples(session, options, {proxy: Subject(proxy, path, spread=spread) for proxy in (many, one)})
        session.stop_proxies([one])
        cells = {"understudy": ratio(samples[many], samples[one])}
        rows.append(Row("CPU of requests for %s, ratio to a single route" % title, cells))
    session.stop_proxies([many])
    return rows


def many_routes(count):
    return "".join(proxies.route("r%d" % number, "/r%d" % number) for number in range(count))


def cpu_samples(session, options, subjects):
    """The CPU time of a request in microseconds, in each round, of each subject. The rounds of all are interleaved, each in the
    reverse order of the one before, so that what else the machine does is spread over all."""
    samples = {name: [] for name in subjects}
    for subject in subjects.values():
        subject.request(session, 1)
    order = list(subjects)
    for _ in range(options.rounds):
        for name in order:
            samples[name].append(cpu_of_a_request(session, subjects[name], options.seconds))
        order.reverse()
    return samples


def cpu_of_a_request(session, subject, seconds):
    before = subject.proxy.process.cpu_seconds()
    requests = subject.request(session, seconds)
    return (subject.proxy.process.cpu_seconds() - before) / requests * 1e6


def ratios(samples, to):
    if to not in samples:
        return {}
    return {name: ratio(own, samples[to]) for name, own in samples.items() if name != to} | {to: "1"}


def ratio(own, other):
    """The median of the ratios of all rounds, with the least and the most."""
    each = sorted(a / b for a, b in zip(own, other))
    return "%.2f (%.2f–%.2f)" % (statistics.median(each), each[0], each[-1])


def instructions(session, options):
    """Instructions in user space of a request, by callgrind"""
    found = of_each(among(session, UNDER_VALGRIND), lambda name: valgrind.per_request(session, name, "callgrind"))
    cells = {name: "%.1f k" % (counts["instructions"] / 1000) for name, counts in found.items()}
    new = valgrind.per_request(session, "understudy", "callgrind", path="/new")
    return [
        Row("user instructions of a request", cells),
        Row("the same, each document new", {"understudy": "%.1f k" % (new["instructions"] / 1000)}),
    ]


def cache(session, options):
    """Misses of the first data cache and mispredicted branches of a request, simulated by cachegrind"""
    found = of_each(among(session, UNDER_VALGRIND), lambda name: valgrind.per_request(session, name, "cachegrind"))
    titles = {"data_misses": "misses of the first data cache of a request", "mispredictions": "mispredicted branches of a request"}
    return [Row(title, {name: "%.0f" % counts[count] for name, counts in found.items()}) for count, title in titles.items()]


def latency(session, options):
    """What a proxy adds to the time of an answer at 5,000 requests per second: half, 99 % and 99.9 % of answers take no longer"""
    running = session.start_proxies(session.proxies)
    ports = {"app": session.app_port, **{name: proxy.port for name, proxy in running.items()}}
    rounds = {name: [] for name in ports}
    order = list(ports)
    for _ in range(options.rounds):
        for name in order:
            rounds[name].append(load.latency(session, ports[name], "/voice", options.rate, options.seconds))
        order.reverse()
    session.stop_proxies(running.values())
    rows = []
    for percentile in ("p50", "p99", "p99.9"):
        added = {name: added_time(rounds[name], rounds["app"], percentile) for name in running}
        rows.append(Row("added latency at %d requests/s, %s, µs" % (options.rate, percentile), added))
    return rows


def added_time(own, app, percentile):
    return "%.0f" % statistics.median(a[percentile] - b[percentile] for a, b in zip(own, app))


def memory(session, options):
    """Memory of a connection: idle after one request, idle after all had a request at once, and waiting for the app; and how much
    of it stays when all are closed"""
    rows = []
    for state, title in (("idle", "idle"), ("busy", "idle, after all were busy at once"), ("waiting", "waiting")):
        found = of_each(session.proxies, lambda name: memory_of_connections(session, options, name, state))
        rows.append(Row("memory of a connection: %s, KiB" % title, {name: "%.1f" % each for name, (each, _) in found.items()}))
        rows.append(Row("of that stays after %d s" % options.settle, {name: "%.0f %%" % kept for name, (_, kept) in found.items()}))
    return rows


def memory_of_connections(session, options, name, state):
    """What each of the connections adds to a proxy's memory in KiB, and the percentage of it that stays."""
    silent, silent_port = session.start_silent_app()
    proxy = session.start_proxy(name, app=silent_port if state == "waiting" else session.app_port, deadline=14)
    if state != "waiting":
        for _ in range(100):
            proxy.post("/voice")
    rss = proxy.process.rss_kib
    before = rss()
    held = load.Held(session, state, proxy.port, "/voice", options.connections)
    growth = load.wait_until_steady(rss, within=8) - before
    held.close()
    time.sleep(options.settle)
    kept = (rss() - before) / max(growth, 1) * 100
    session.stop([silent, proxy.process])
    return growth / options.connections, kept


def scrape(session, options):
    """Time, size and memory of the metrics of 1,000 routes that each had a request"""
    count = 1000
    few, many = (scrape_of(session, options, number) for number in (1, count))
    rss = (many["rss"] - few["rss"]) / (count - 1)
    titles = {
        "scrape of 1,000 routes, ms": "%.0f" % (many["seconds"] * 1000),
        "scrape of 1,000 routes, MB": "%.2f" % (many["bytes"] / 1e6),
        "memory of a route, KiB": "%.1f" % rss,
    }
    return [Row(title, {"understudy": cell}) for title, cell in titles.items()]


def scrape_of(session, options, count):
    proxy = session.start_proxy("understudy", routes=many_routes(count))
    for number in range(count):
        proxy.expect("/r%d" % number, webhook.VOICE)
    rss = proxy.process.rss_kib()
    seconds = []
    for _ in range(options.rounds):
        begin = time.perf_counter()
        size = len(proxy.metrics())
        seconds.append(time.perf_counter() - begin)
    session.stop_proxies([proxy])
    return {"rss": rss, "seconds": statistics.median(seconds), "bytes": size}


def crowd(session, options):
    """The slowest of 10,000 answers to requests that are sent at once, while the app is silent and the deadline is 2 s"""
    # The limit of open files may allow fewer.
    count = min(options.crowd, (descriptors() - 200) // 2)
    found = of_each(among(session, WITH_FALLBACK), lambda name: slowest_of_crowd(session, name, count))
    title = "slowest of %s answers at once, deadline 2 s, s" % format(count, ",")
    cells = {name: "%.2f" % seconds for name, (seconds, _) in found.items()}
    means = {name: "%.4f" % mean for name, (_, mean) in found.items() if mean}
    return [Row(title, cells), Row("mean of them by understudy's own clock, s", means)]


def slowest_of_crowd(session, name, count):
    """In seconds. With the mean of all as understudy counts them, from each request's head on."""
    silent, silent_port = session.start_silent_app()
    route = proxies.route("voice", "/voice", "breaker.failures = 0")
    proxy = session.start_proxy(name, app=silent_port, deadline=2, routes=route)
    slowest = load.crowd(session, proxy.port, "/voice", count)
    mean = mean_duration(proxy) if name == "understudy" else None
    session.stop([silent, proxy.process])
    return slowest / 1e6, mean


def mean_duration(proxy):
    text = proxy.metrics().decode()
    total, number = (
        float(re.search(r'understudy_request_duration_seconds_%s{outcome="fallback",route="voice"} (\S+)' % of, text).group(1))
        for of in ("sum", "count")
    )
    return total / number


# Every measurement with the programs that it needs, besides nginx, in the order of the table.
MEASUREMENTS = {
    cpu: ["wrk", "haproxy"],
    instructions: ["valgrind", "h2load"],
    cache: ["valgrind", "h2load"],
    latency: ["cargo"],
    memory: ["cargo"],
    breaker: ["wrk"],
    big: ["wrk", "haproxy"],
    close: ["wrk", "haproxy"],
    tls: ["wrk", "haproxy", "openssl"],
    routes: ["wrk"],
    scrape: [],
    crowd: ["cargo"],
}

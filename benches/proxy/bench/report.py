"""The table as Markdown, and what it was measured on."""

import datetime
import os
import platform
import re
import subprocess

from . import programs
from .proxies import TITLES

BEGIN, END = "<!-- the last table: benches/proxy/run --write docs/benchmarks.md -->", "<!-- its end -->"


def table(rows, names):
    """The rows, with a column for each of the proxies that has a figure anywhere."""
    names = [name for name in names if any(name in row.cells for row in rows)]
    lines = [["", *(TITLES[name] for name in names)], ["---", *("--:" for _ in names)]]
    lines += [[row.title, *(row.cells.get(name, "") for name in names)] for row in rows]
    return "\n".join("| %s |" % " | ".join(line) for line in lines)


def conditions(understudy, options, names):
    """A sentence on when, what and where."""
    return "%s, %s. %s. Medians of %d rounds of %d s." % (
        datetime.date.today().isoformat(), ", ".join(versions(understudy, names)), machine(), options.rounds, options.seconds,
    )


def machine():
    return "%s, %d cores, Linux %s" % (cpu_model(), len(os.sched_getaffinity(0)), platform.release())


def cpu_model():
    with open("/proc/cpuinfo") as cpus:
        found = re.search(r"model name\s*:\s*(.*)", cpus.read())
    return found.group(1) if found else platform.machine()


def versions(understudy, names):
    said = subprocess.run([understudy, "--version"], capture_output=True, text=True).stdout.strip()
    return [said] + ["%s %s" % (name, programs.version(name)) for name in ("haproxy", "nginx", "envoy", "wrk", "valgrind")
                     if programs.find(name) and (name != "envoy" or name in names)]


def write(path, text):
    """Replaces what is between the two markers of a file."""
    with open(path) as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as file:
        file.write("%s%s\n%s\n%s%s" % (before, BEGIN, text, END, after))

"""The programs that measurements need, and which of them are missing here."""

import os
import re
import shutil
import subprocess

from .process import Failed

PLACES = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

# What each is for, in words for somebody who lacks it.
PURPOSES = {
    "nginx": "the app, and a proxy to compare with",
    "haproxy": "the proxy that figures are relative to",
    "envoy": "a proxy to compare with; ENVOY= is the path of its binary",
    "wrk": "load for CPU time",
    "h2load": "load under valgrind",
    "valgrind": "counts of instructions, cache misses and branches",
    "cargo": "builds bare hyper, and the load for latency and memory",
    "openssl": "a certificate for TLS",
}


def find(name):
    """The path of a program; none if it is missing. NGINX, HAPROXY and ENVOY in the environment name other binaries."""
    return shutil.which(os.environ.get(name.upper(), name), path=PLACES)


def missing(names):
    return [name for name in names if not find(name)]


def version(name):
    """What a program says of its version, shortened to the number; none if it says none."""
    flag = "-v" if name in ("nginx", "haproxy", "wrk") else "--version"
    try:
        said = subprocess.run([find(name), flag], capture_output=True, text=True, timeout=20)
    except OSError:
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found and found.group()


def build(package):
    """Builds a cargo project beside this one and returns the path of its binary."""
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "bench")
    manifest = os.path.join(ROOT, "benches", "proxy", package, "Cargo.toml")
    command = [find("cargo"), "build", "--release", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", target]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("cargo can't build %s: %s" % (package, done.stderr[-1000:]))
    return os.path.join(target, "release", {"hyper": "bare-hyper"}.get(package, package))

"""Says what of Twilio's builders' documents the grammar lacks. Reads lists as list.py and list.js print them, lets
`understudy lint --strict` validate every document, and prints a line for each name with a finding that the name above it
has not. What refused.txt names is listed apart. The last line has the number of documents and of names.

Usage: compare.py UNDERSTUDY LIST…
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

REFUSED = Path(__file__).with_name("refused.txt")


def main():
    understudy, *lists = sys.argv[1:]
    entries = [json.loads(line) for path in lists for line in Path(path).read_text("utf-8").splitlines()]
    findings = {}
    for kind in sorted({entry["kind"] for entry in entries}):
        of_kind = [entry for entry in entries if entry["kind"] == kind]
        for entry, found in zip(of_kind, validate(understudy, kind, of_kind), strict=True):
            findings.setdefault((kind, entry["name"]), set()).update(found)

    refused = {line.split("  ")[0].strip() for line in REFUSED.read_text("utf-8").splitlines()}
    refused = {name for name in refused if name and not name.startswith("#")}
    refused_here, lacking = set(), {}
    for (kind, name), found in findings.items():
        by = {known for known in refused if name == known or name.startswith((f"{known}=", f"{known}@", f"{known}/"))}
        refused_here |= by
        news = found - findings.get((kind, above(name)), set())
        if news and not by:
            lacking.setdefault(name, set()).update(news)

    for name in sorted(lacking):
        print(f"{name}: {'; '.join(sorted(lacking[name]))}")
    if refused_here:
        print(f"refused by Twilio itself: {', '.join(sorted(refused_here))}")
    if refused - refused_here:
        print(f"in refused.txt, but in no package any more: {', '.join(sorted(refused - refused_here))}")
    print(f"{len(entries)} documents, {len(lacking)} not in the grammar")


def validate(understudy, kind, entries):
    """The findings of each document, in the same order."""
    with tempfile.TemporaryDirectory() as folder:
        for i, entry in enumerate(entries):
            Path(folder, f"{i}.xml").write_text(entry["document"], "utf-8")
        lint = [Path(understudy).resolve(), "lint", "--strict", "--format", "json", "--kind", kind]
        files = [f"{i}.xml" for i in range(len(entries))]
        done = subprocess.run([*lint, *files], cwd=folder, stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode not in (0, 1):
        sys.exit(f"understudy lint failed with status {done.returncode}")
    for file, line in zip(files, done.stdout.splitlines(), strict=True):
        judgement = json.loads(line)
        assert judgement["file"] == file, judgement
        yield {f"{finding['message']} ({finding['code']})" for finding in judgement["findings"]}


def above(name):
    """The element of an attribute, or the parent of an element."""
    element, attribute, _ = name.partition("@")
    return element if attribute else element.rpartition("/")[0]


main()

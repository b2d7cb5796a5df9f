#!/usr/bin/env python3
"""compare_documents.py - what the readers find in real documents, beside other extractors.

    tools/bench/compare_documents.py [--show BUILD/tests/unit/prepare/show] [-v] FILE...

For each PDF: the share of pdftotext's and mutool's words that the reader has (with repetitions), and
of the outline's titles that are headings. For each docx: the same of docx2txt's and pandoc's words and
of pandoc's headings. Peers that are not installed are left out. -v names what is missing.
Two numbers stand for each peer of a PDF: of all its words, and of those that should be there. The latter
are its words less those of the lines that the reader says it left out (running headers, footers, page
numbers, watermarks); and what both write with the same letters is the same, wherever blanks and hyphens
of line ends are.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import collections
import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata


def run(*args):
    return subprocess.run(args, capture_output=True, check=False).stdout.decode("utf-8", "replace")


def words(text):
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    text = re.sub(r"(\w)-\s*\n\s*(?=[a-z])", r"\1", text)  # hyphens at line ends
    return re.findall(r"\w+", text.lower())


def recall(have, want, missing):
    have, want = collections.Counter(have), collections.Counter(want)
    lost = want - have
    missing.update(lost)
    return 1 - sum(lost.values()) / max(1, sum(want.values()))


def join_alike(have, want):
    """Words of `want` that `have` only cuts elsewhere: found as neighbours of the same letters."""
    known, wanted = collections.Counter(have), collections.Counter(want)
    spare, lost = known - wanted, wanted - known
    def pairs(words, taken):  # neighbours of which one at least is not the other's
        for a, b in zip(words, words[1:]):
            if a in taken or b in taken:
                yield a, b
    for whole, parts in ((spare, pairs(want, lost)), (lost, pairs(have, spare))):
        cut = lost if whole is spare else spare
        for a, b in parts:
            if whole[a + b] > 0 and (cut[a] > 0 or cut[b] > 0):
                whole[a + b] -= 1
                cut[a] -= cut[a] > 0
                cut[b] -= cut[b] > 0
    return +lost


def plain(title):
    title = unicodedata.normalize("NFKC", title).lower()
    title = re.sub(r"^(chapter|appendix|section|part)\b", "", title.strip())
    title = re.sub(r"^[\s.]*(?:[\divxl]+|[a-z])(?:\.\w+)*[.:]?\s+(?=\S)", "", title)
    return re.sub(r"\W+", "", title)


def blocks(show, reader, path):
    unescape = lambda s: re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m.group(1), m.group(1)), s)
    ran = subprocess.run([show, reader, path], capture_output=True, check=False)
    for line in ran.stderr.decode("utf-8", "replace").split("\n"):
        m = re.match(r"log 0: pdf: left out on page \d+: (.*)", line)
        if m:
            yield "left out", m.group(1)
    for line in ran.stdout.decode("utf-8", "replace").split("\n"):
        m = re.match(r'(text|heading|code|table|list|quote)( \d+)?( #\d+)?.*? @\d+\+\d+ "(.*)"$', line)
        if m:
            number = m.group(3)[2:] + " " if m.group(3) else ""
            yield m.group(1), number + unescape(m.group(4))
        elif line.startswith(("lost", "note", "error")):
            yield "said", line


def outline(path):
    titles = []
    for line in run("mutool", "show", path, "outline").splitlines():
        m = re.match(r'[-|+]?\s*"(.*)"\s+#', line)
        if m:
            titles.append(m.group(1))
    return titles


def pandoc_headings(path):
    def text(x):
        if isinstance(x, list):
            return "".join(map(text, x))
        if isinstance(x, dict):
            if x.get("t") in ("Space", "SoftBreak", "LineBreak"):
                return " "
            return x["c"] if x.get("t") == "Str" else text(x.get("c", ""))
        return ""
    out = run("pandoc", "-f", "docx", "-t", "json", path)
    found = [text(b["c"][2]) for b in json.loads(out)["blocks"] if b["t"] == "Header"] if out else []
    return [t for t in found if t.strip()]


PEERS = {
    "pdf": {"pdftotext": ["pdftotext", "{}", "-"], "mutool": ["mutool", "draw", "-q", "-F", "txt", "{}"]},
    "docx": {"docx2txt": ["docx2txt", "{}", "-"], "pandoc": ["pandoc", "-f", "docx", "-t", "plain", "--wrap=none", "{}"]},
}


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--show", default="build/tests/unit/prepare/show")
    a.add_argument("-v", action="store_true")
    a.add_argument("files", nargs="+")
    a = a.parse_args()
    for path in a.files:
        name = path
        if path.endswith(".gz"):
            with tempfile.NamedTemporaryFile(suffix=os.path.basename(path)[:-3], delete=False) as f:
                f.write(gzip.open(path).read())
            path = f.name
        reader = path.rsplit(".", 1)[-1]
        got = list(blocks(a.show, reader, path))
        have = [w for kind, text in got if kind not in ("said", "left out") for w in words(text)]
        left_out = [w for kind, text in got if kind == "left out" for w in words(text)]
        missing = collections.Counter()
        line = []
        for peer, command in PEERS[reader].items():
            if shutil.which(command[0]):
                want = words(run(*[c.format(path) for c in command]))
                if reader == "pdf":
                    lost = join_alike(have + left_out, want)
                    due = len(want) - sum((collections.Counter(want) & collections.Counter(left_out)).values())
                    missing.update(lost)
                    share = f"{100 * recall(have, want, collections.Counter()):6.2f} {100 * (1 - sum(lost.values()) / max(1, due)):6.2f} %"
                else:
                    share = f"{100 * recall(have, want, missing):6.2f} %"
                line.append(f"{peer} {share}")
        titles = [plain(t) for t in (outline(path) if reader == "pdf" else pandoc_headings(path))]
        titles = [t for t in titles if t]
        heads = {plain(t) for kind, t in got if kind == "heading"}
        lost = [t for t in titles if t not in heads]
        if titles:
            line.append(f"headings {100 * (1 - len(lost) / len(titles)):6.2f} % of {len(titles)}")
        print(f"{os.path.basename(name):36.36s} {'  '.join(line)}", flush=True)
        if a.v:
            print("   words:", missing.most_common(15))
            print("   headings:", lost[:15])
            for kind, text in got:
                if kind == "said":
                    print("  ", text)
        if path != name:
            os.unlink(path)


if __name__ == "__main__":
    main()

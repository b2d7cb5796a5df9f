#!/usr/bin/env python3
"""compare_code.py - the functions that the reader `code` finds, beside another tool's.

usage: tools/compare_code.py FOLDER [--limit FILES] [--misses N]

Every source file below FOLDER is read by the reader (build/tests/unit/prepare/show) and, for
comparison, by universal-ctags (Debian package universal-ctags), or by Python's own `ast` where the
file is Python's. Prints, for each language, the share of the other tool's functions that the
reader found by name in the same file, what it found beyond them, and the first misses. ctags knows
no grammar; what it takes for functions and is none is set aside, and counted: a macro's use in C
("STACK_OF(X509) *certs"), a plain value in JavaScript ("A.prototype.has = setHas").

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import ast
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Extension: language, kinds of ctags that are functions.
LANGUAGES = {
    ".py": ("Python", ""), ".java": ("Java", "m"), ".c": ("C", "f"), ".cc": ("C++", "f"), ".cpp": ("C++", "f"),
    ".hpp": ("C++", "f"), ".js": ("JavaScript", "fm"), ".ts": ("TypeScript", "fm"), ".go": ("Go", "f"),
    ".rs": ("Rust", "fP"), ".cs": ("C#", "m"),
}
OURS = ("function", "method")
MACRO_NAME = re.compile(r"^[A-Z][A-Z0-9_]+$")
MACRO_USE = re.compile(r"^\s*(static\s+|const\s+|extern\s+)*(DEFINE|DECLARE|IMPLEMENT)_")
PLAIN_VALUE = re.compile(r"[=:]\s*([\w$.]+|\(function.*)\s*[;,]?\s*$")


def files_below(folder, limit):
    found = collections.defaultdict(list)
    for path, folders, names in sorted(os.walk(folder)):
        folders.sort()
        for name in sorted(names):
            kind = os.path.splitext(name)[1]
            path_of = os.path.join(path, name)
            if kind in LANGUAGES and os.path.isfile(path_of) and len(found[kind]) < limit:
                found[kind].append(path_of)
    return found


def ours(paths):
    result = {}
    show = os.path.join(ROOT, "build/tests/unit/prepare/show")
    for i in range(0, len(paths), 100):
        said = subprocess.run([show, "code"] + paths[i:i + 100], capture_output=True, cwd=ROOT).stdout
        names = None
        for line in said.decode("utf-8", "replace").split("\n"):
            if line.startswith("=== "):
                names = result.setdefault(line[4:], [])
            elif line.startswith("  "):
                words = line.split(" in ")[0].split()
                if words and words[0] in OURS:
                    names.append(" ".join(words[1:]))
            elif line.startswith("error ") and names is not None:
                names.append(None)
    return result


def by_ast(path):
    with open(path, "rb") as f:
        tree = ast.parse(f.read())
    return [n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def is_none(language, name, line):
    """Is what ctags took for a function none?"""
    if language in ("C", "C++"):
        return bool(MACRO_NAME.match(name)) or bool(MACRO_USE.match(line) and name in line)
    return language == "JavaScript" and bool(PLAIN_VALUE.search(line)) and "=>" not in line


def spelled(name):
    """C++ allows spaces in "operator =="."""
    return re.sub(r"operator\s+(\W)", r"operator\1", name)


def by_ctags(paths, language, kinds):
    result = collections.defaultdict(list)
    aside = 0
    lines = (None, [])
    said = subprocess.run(["ctags", "--output-format=json", "--fields=NFKn", "--extras=-{anonymous}", "-f", "-", "--languages=" + language,
                           "--language-force=" + language, "--kinds-%s=%s" % (language, kinds), "-L", "-"],
                          input="\n".join(paths), capture_output=True, text=True, errors="replace").stdout
    for line in said.splitlines():
        tag = json.loads(line)
        if "path" in tag and not tag["name"].startswith("__anon") and not tag["name"].startswith("Anonymous"):
            if lines[0] != tag["path"]:
                with open(tag["path"], errors="replace") as f:
                    lines = (tag["path"], f.read().split("\n"))
            line = lines[1][tag["line"] - 1] if tag["line"] <= len(lines[1]) else ""
            if is_none(language, tag["name"], line):
                aside += 1
            else:
                result[tag["path"]].append(spelled(tag["name"]))
    return result, aside


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--limit", type=int, default=1000000)
    options.add_argument("--misses", type=int, default=8)
    given = options.parse_args()
    for kind, paths in files_below(os.path.abspath(given.folder), given.limit).items():
        language, kinds = LANGUAGES[kind]
        mine = ours(paths)
        theirs, aside = ({}, 0) if kind == ".py" else by_ctags(paths, language, kinds)
        total = found = beyond = skipped = 0
        misses = []
        for path in paths:
            names = mine.get(path, [])
            if None in names:
                skipped += 1
                continue
            try:
                want = by_ast(path) if kind == ".py" else theirs.get(path, [])
            except (SyntaxError, ValueError, RecursionError):
                skipped += 1
                continue
            # a name may stand with its scope in front, and as "a::b", "a.b"
            names = [spelled(n) for n in names]
            short = collections.Counter(n.replace("::", " ").replace(".", " ").split()[-1] for n in names if n)
            whole = set(n for n in names if n)
            for name in want:
                total += 1
                last = name.replace("::", " ").replace(".", " ").replace("~", " ").split() or [name]
                if short[last[-1]] > 0:
                    short[last[-1]] -= 1
                    found += 1
                elif any(n.endswith(name) for n in whole):
                    found += 1
                else:
                    misses.append("%s: %s" % (path, name))
            beyond += sum(short.values())
        if total:
            print("%-11s %6d files, %7d functions by %s, found %6.2f %%, %d beyond, %d set aside, %d files skipped" %
                  (language, len(paths), total, "ast" if kind == ".py" else "ctags", 100.0 * found / total, beyond, aside, skipped))
            for miss in misses[:given.misses]:
                print("    missed", miss)
    return 0


if __name__ == "__main__":
    sys.exit(main())

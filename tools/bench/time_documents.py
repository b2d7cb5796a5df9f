#!/usr/bin/env python3
"""time_documents.py - processor time of the readers of PDF and docx, beside pdftotext and docx2txt.

    tools/bench/time_documents.py [--show BUILD/tests/unit/prepare/show] [--rounds N] FILE...

Rounds alternate, the best of each counts; one process and one core each. For PDF pages a second, for docx
bytes of the file. Peers come from Debian (poppler-utils, docx2txt); without one only hone's rate is printed.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import re
import resource
import shutil
import subprocess

PEERS = {"pdf": ["pdftotext", "{}", "/dev/null"], "docx": ["docx2txt", "{}", "/dev/null"]}


def seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def amount(kind, path):
    if kind == "docx":
        return os.path.getsize(path) / 1e6, "MB/s"
    out = subprocess.run(["pdfinfo", path], capture_output=True, check=False).stdout.decode("utf-8", "replace") \
        if shutil.which("pdfinfo") else ""
    pages = re.search(r"^Pages:\s+(\d+)", out, re.M)
    return (int(pages.group(1)), "pages/s") if pages else (1, "documents/s")


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--show", default="build/tests/unit/prepare/show")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("files", nargs="+")
    a = a.parse_args()
    for path in a.files:
        kind = path.rsplit(".", 1)[-1].lower()
        peer = PEERS[kind] if shutil.which(PEERS[kind][0]) else None
        best = [1e9, 1e9]
        for _ in range(a.rounds):
            best[0] = min(best[0], seconds([a.show, kind, path]))
            if peer:
                best[1] = min(best[1], seconds([c.format(path) for c in peer]))
        n, unit = amount(kind, path)
        line = f"{os.path.basename(path):32.32s} hone {n / best[0]:9.1f} {unit}"
        if peer:
            line += f"   {peer[0]} {n / best[1]:9.1f} {unit}   {best[1] / best[0]:6.2f}x"
        print(line, flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""first_lines.py - a recipe for hone: each heading is asked for, the paragraph below it is the answer.

"recipes": ["exec:examples/recipes/first_lines.py"] in the "prepare" section uses it; docs/programs.md
describes the lines that come in and go out.
"""
import json
import sys

heading = None
for line in sys.stdin:
    block = json.loads(line)
    if "document" in block:
        heading = None
    elif block.get("end") is True:  # in a block it says where
        print(json.dumps({"end": True}), flush=True)
    elif block["kind"] == "heading":
        heading = block
    elif block["kind"] == "text" and heading:
        print(json.dumps({"prompt": "What is " + heading["text"] + "?", "completion": block["text"],
                          "start": heading["start"], "end": block["end"]}))
        heading = None

# SPDX-License-Identifier: Apache-2.0
"""What the golden scripts share: seeds, tiny models with weights that make errors show, small files.

A tiny model with transformers' own init (std 0.02, norms at 1, biases at 0) hides mistakes: a forgotten
bias adds zero, a swapped norm multiplies by one. So every tensor here is drawn wide.
"""
import argparse
import json
import os
import zlib

# One thread: the order of additions, and with it the last bits, does not depend on the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.normpath(os.path.join(HERE, "..", "..", "tests", "golden"))


def arguments(description, **extra):
    """The command line of every script; `extra` maps an option to its help (integer options, default None)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random (default 1)")
    parser.add_argument("--out", default=DEFAULT_OUT, help="folder to write into (default tests/golden)")
    parser.add_argument("--only", default="", help="comma-separated names: make only these")
    for name, text in extra.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=None, help=text)
    return parser.parse_args()


def wanted(args, name):
    return not args.only or name in args.only.split(",")


def sub_seed(seed, name):
    """A seed of its own for each fixture, so that adding one does not change the others."""
    return (seed * 1000003 + zlib.crc32(name.encode())) % (2**31)


def readable(folder):
    """safetensors writes files for their owner alone; these are for everyone."""
    for root, _, names in os.walk(folder):
        for name in names:
            os.chmod(os.path.join(root, name), 0o644)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


def widen(model, seed, std=0.25):
    """Redraw every parameter: matrices N(0, std), norm weights around 1, biases N(0, 0.3)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if name.endswith("bias"):
                p.copy_(noise * 0.3)
            elif "norm" in name:
                p.copy_(1.0 + noise * 0.2)
            else:
                p.copy_(noise * std)


def causal_loss_sum(model, input_ids, labels):
    """Sum of the cross-entropy over the supervised positions of one sequence, and their count.

    The logits at t predict labels[t + 1]; -100 is not supervised.
    """
    import torch

    logits = model(input_ids=input_ids.unsqueeze(0), use_cache=False).logits[0]
    total = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
    return total, int((labels[1:] != -100).sum())

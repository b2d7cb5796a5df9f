# SPDX-License-Identifier: Apache-2.0
"""Twenty steps of PyTorch's Adam and AdamW, and of bitsandbytes' AdamW8bit on its CPU path.

Writes <out>/optimizers/golden.safetensors:

  base                      numbers the gradients are made of: at step t (from 1) element i has
                            base[(7 i + 13 t) % len(base)] * 2^-(i % 5), which is exact
  start                     the parameter before the first step
  CASE.param, .m, .v        after the last step; CASE as below
  8bit.map.signed, .unsigned   bitsandbytes' maps
  8bit.first.*, 8bit.last.*    param, m, m.absmax, v, v.absmax after one step and after the last

and cases.json: the settings of each case. Learning rate 1e-2 throughout. The test doubles gradients and gives the
optimizer under test with a factor of a half, so that the factor is seen to be applied.
"""
import os

import common

import bitsandbytes
import bitsandbytes.backends.cpu.ops
import numpy as np
import torch
from safetensors.torch import save_file

STEPS = 20
SMALL, LARGE = 300, 5003
CASES = {
    "adamw": dict(optimizer="adamw", betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
    "adamw.decay": dict(optimizer="adamw", betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
    "adamw.other": dict(optimizer="adamw", betas=(0.8, 0.95), eps=1e-4, weight_decay=0.5),
    "adam": dict(optimizer="adam", betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
    "adam.decay": dict(optimizer="adam", betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
    "adam.other": dict(optimizer="adam", betas=(0.8, 0.95), eps=1e-4, weight_decay=0.5),
}
TORCH = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def gradient(base, t, n):
    i = np.arange(n)
    return torch.from_numpy(base[(7 * i + 13 * t) % len(base)] * np.float32(2.0) ** -(i % 5).astype(np.float32))


def nearest(a, code, absmax_out, out, blocksize):
    """The nearest of the map, as the paper and bitsandbytes' CUDA kernels have it. The library's CPU kernel
    (0.50.2) looks the code up by 16 bits of the value, so that it takes 1.3e-5 of the block's largest for 2.1e-5
    where 7.7e-6 and others are in the map; its update is used, its rounding is not."""
    blocks = -(-a.numel() // blocksize)
    padded = torch.zeros(blocks * blocksize)
    padded[: a.numel()] = a.flatten()
    padded = padded.view(blocks, blocksize)
    absmax = padded.abs().amax(dim=1)
    share = (padded / torch.where(absmax == 0, torch.ones(()), absmax)[:, None]).double()
    places = (code.double()[1:] + code.double()[:-1]) / 2
    out.copy_(torch.searchsorted(places, share.flatten())[: a.numel()].to(torch.uint8).view(out.shape))
    absmax_out.copy_(absmax)


def main():
    a = common.arguments(__doc__.splitlines()[0])
    rng = np.random.default_rng(a.seed)
    base = rng.standard_normal(1024).astype(np.float32)
    start = rng.standard_normal(LARGE).astype(np.float32)
    out = {"base": torch.from_numpy(base), "start": torch.from_numpy(start)}
    for name, c in CASES.items():
        p = torch.nn.Parameter(torch.from_numpy(start[:SMALL].copy()))
        o = TORCH[c["optimizer"]]([p], lr=1e-2, betas=c["betas"], eps=c["eps"], weight_decay=c["weight_decay"],
                                  foreach=False)
        for t in range(1, STEPS + 1):
            p.grad = gradient(base, t, SMALL)
            o.step()
        out[f"{name}.param"] = p.detach().clone()
        out[f"{name}.m"] = o.state[p]["exp_avg"].clone()
        out[f"{name}.v"] = o.state[p]["exp_avg_sq"].clone()

    bitsandbytes.backends.cpu.ops._quant_blockwise_fp32_direct = nearest
    p = torch.nn.Parameter(torch.from_numpy(start.copy()))
    o = bitsandbytes.optim.AdamW8bit([p], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    for t in range(1, STEPS + 1):
        p.grad = gradient(base, t, LARGE)
        o.step()
        if t in (1, STEPS):
            when, s = "first" if t == 1 else "last", o.state[p]
            assert s["state1"].dtype == torch.uint8
            out[f"8bit.{when}.param"] = p.detach().clone()
            for ours, theirs in (("m", "1"), ("v", "2")):
                out[f"8bit.{when}.{ours}"] = s["state" + theirs].clone()
                out[f"8bit.{when}.{ours}.absmax"] = s["absmax" + theirs].clone()
    out["8bit.map.signed"] = bitsandbytes.functional.create_dynamic_map(True)
    out["8bit.map.unsigned"] = bitsandbytes.functional.create_dynamic_map(False)
    print(f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}")

    folder = os.path.join(a.out, "optimizers")
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(folder, "golden.safetensors"))
    common.write_json(os.path.join(folder, "cases.json"), CASES)
    common.readable(folder)


if __name__ == "__main__":
    main()

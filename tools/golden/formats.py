# SPDX-License-Identifier: Apache-2.0
"""Matrices as bitsandbytes stores and multiplies them on a CPU.

Writes <out>/formats/nf4.safetensors, for each CASE:
  CASE.weight                    (O,I) f16, taken as f32
  CASE.codes, CASE.largest       u8 and f32: quantize_4bit(quant_type="nf4", blocksize=64)
  CASE.scales, .nested, .offset  u8, f32, f32 (1,): of compress_statistics=True
  CASE.decoded                   (O,I) f32: dequantize_4bit of all that

and <out>/formats/int8.safetensors:
  CASE.weight, CASE.x            (O,I), (N,I) f16, taken as f32
  CASE.codes, CASE.scales        (O,I) i8, (O,) f32: int8_vectorwise_quant(weight)
  CASE.decoded                   (O,I) f32, of one case
  CASE.outliers                  (K,) i32: the columns of x with an |x| >= 6
  CASE.y                         (N,O) f32: int8_mixed_scaled_mm
"""
import os

import common

import torch
import bitsandbytes
import bitsandbytes.functional as F
from safetensors.torch import save_file

torch.set_num_threads(1)

NF4 = {  # rows, columns, what is special
    "one": (1, 1, ""),
    "odd": (3, 5, ""),
    "even_blocks": (8, 64, ""),
    "ragged": (7, 129, ""),
    "two_nests": (65, 257, ""),
    "zeros": (3, 64, "zeros"),
    "zero_blocks": (20, 100, "zero_blocks"),
    "same_scales": (4, 128, "same_scales"),
    "decades": (40, 200, "decades"),
    "ties": (4, 64, "ties"),
}
INT8 = {  # rows, columns, rows of x, share of planted columns
    "plain": (24, 96, 5, 0),
    "planted": (24, 1024, 9, 0.002),
    "one_row": (40, 200, 1, 0.02),
    "zero_row": (9, 33, 3, 0),
    "large": (37, 300, 33, 0.01),
}


def weight(rows, cols, kind, g):
    w = torch.randn(rows, cols, generator=g) * 0.05
    flat = w.view(-1)
    blocks = (flat.numel() + 63) // 64
    if kind == "zeros":
        w.zero_()
    if kind == "zero_blocks":
        for b in range(0, blocks, 3):
            flat[b * 64:(b + 1) * 64] = 0
    for b in range(blocks):
        block = flat[b * 64:(b + 1) * 64]
        if kind == "same_scales":
            block.clamp_(-0.125, 0.125)
            block[0] = -0.125
        if kind == "decades":
            block.mul_(10.0 ** (-4 * torch.rand((), generator=g)))
        if kind == "ties":  # halfway between two values, as near as half precision comes
            code = F.get_4bit_type("nf4", device="cpu")
            block[:15] = (code[1:] + code[:-1]) / 2
            block[15] = 1
    return w.half().float()


def nf4(args):
    out = {}
    for name, (rows, cols, kind) in NF4.items():
        g = torch.Generator().manual_seed(common.sub_seed(args.seed, "nf4 " + name))
        w = weight(rows, cols, kind, g)
        codes, state = F.quantize_4bit(w, blocksize=64, quant_type="nf4", compress_statistics=False)
        again, nested = F.quantize_4bit(w, blocksize=64, quant_type="nf4", compress_statistics=True)
        assert torch.equal(codes, again)
        out[name + ".weight"] = w.half()
        out[name + ".codes"] = codes.reshape(-1).contiguous()
        out[name + ".largest"] = state.absmax
        out[name + ".scales"] = nested.absmax
        out[name + ".nested"] = nested.state2.absmax
        out[name + ".offset"] = nested.offset.reshape(1)
        out[name + ".decoded"] = F.dequantize_4bit(codes, nested).float().reshape(rows, cols).contiguous()
    return out


def int8(args):
    out = {}
    for name, (rows, cols, n, share) in INT8.items():
        g = torch.Generator().manual_seed(common.sub_seed(args.seed, "int8 " + name))
        w = (torch.randn(rows, cols, generator=g) * 0.05).half().float()
        x = torch.randn(n, cols, generator=g).clamp(-5, 5)
        columns = torch.randperm(cols, generator=g)[:int(cols * share + 0.5)]
        for c in columns:  # most of a planted column's rows are large, as in trained models
            large = torch.rand(n, generator=g) < 0.7
            large[0] = True
            x[large, c] = (20 + 40 * torch.rand(int(large.sum()), generator=g)) * (1 if c % 2 else -1)
        x = x.half().float()
        if name == "zero_row":
            x[1] = 0
        codes, scales, _ = F.int8_vectorwise_quant(w)
        xq, x_scales, outliers = F.int8_vectorwise_quant(x.clone(), threshold=6.0)
        y, _ = torch.ops.bitsandbytes.int8_mixed_scaled_mm(x, xq, codes, x_scales, scales, outliers, None)
        out[name + ".weight"] = w.half()
        out[name + ".x"] = x.half()
        out[name + ".codes"] = codes
        out[name + ".scales"] = scales.reshape(-1)
        if name == "plain":
            out[name + ".decoded"] = F.int8_vectorwise_dequant(codes, scales).float()
        found = outliers if outliers is not None else torch.empty(0)
        assert len(found) == len(columns)
        out[name + ".outliers"] = found.to(torch.int32)
        out[name + ".y"] = y.float().contiguous()
    return out


def main():
    args = common.arguments(__doc__.splitlines()[0])
    folder = os.path.join(args.out, "formats")
    os.makedirs(folder, exist_ok=True)
    meta = {"bitsandbytes": bitsandbytes.__version__}
    for name, make in (("nf4", nf4), ("int8", int8)):
        if common.wanted(args, name):
            save_file(make(args), os.path.join(folder, name + ".safetensors"), meta)
    common.readable(folder)


main()

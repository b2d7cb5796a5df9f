"""PyTorch + PEFT, the peer of tests/bench/bench_step.c: same folder, same tokens, same optimizer.

peer_lora.py FOLDER SEQ BATCH STEPS [KEY=VALUE]...
    dtype=fp32|bf16       of weights and products                                     [fp32]
    mode=lora|full        rank 16 on all linear layers, or every weight               [lora]
    variant=NAME          how bf16 is done; fastest: each is tried for two steps      [fastest]
    attention=sdpa|eager                                                              [sdpa]
    threads=N             default: the processors it may use
    paced=1               take turns: a line on standard input before every step (pairs.py)

The ways to bf16, as people use them:
    peft       base in bf16, adapters as PEFT makes them (float32)
    autocast   the same under torch.autocast; mode full: float32 weights under torch.autocast
    pure       adapters in bf16 as well; mode full: weights, gradients and states in bf16
"""
import contextlib
import os
import statistics
import sys
import time

import numpy
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

VARIANTS = {"fp32": {"lora": ["fp32"], "full": ["fp32"]},
            "bf16": {"lora": ["peft", "autocast", "pure"], "full": ["pure", "autocast"]}}


class Trainer:
    def __init__(self, folder, attention, mode, variant):
        wide = variant == "fp32" or (mode == "full" and variant == "autocast")
        torch.manual_seed(0)
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32 if wide else torch.bfloat16, attn_implementation=attention)
        if mode == "lora":
            config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
            self.model = get_peft_model(self.model, config, autocast_adapter_dtype=variant != "pure")
        self.model.train()
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trainable, lr=1e-4)
        self.autocast = variant == "autocast"

    def step(self, ids):
        """Seconds, processor seconds, loss."""
        start, busy = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16) if self.autocast else contextlib.nullcontext():
            loss = self.model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trainable, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        return time.perf_counter() - start, time.process_time() - busy, value


def main():
    folder, seq, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    o = {"dtype": "fp32", "mode": "lora", "variant": "fastest", "attention": "sdpa", "paced": "0",
         "threads": str(len(os.sched_getaffinity(0)))}
    for word in sys.argv[5:]:
        key, _, value = word.partition("=")
        if key not in o:
            sys.exit(f"peer_lora.py: '{word}': expected one of {', '.join(o)}")
        o[key] = value
    torch.set_num_threads(int(o["threads"]))
    tokens = numpy.fromfile(os.path.join(folder, "tokens.i32"), dtype=numpy.int32)

    def batch_of(step):
        at = (step * batch * seq + numpy.arange(batch * seq)) % len(tokens)
        return torch.from_numpy(tokens[at].astype(numpy.int64).reshape(batch, seq))

    variants = VARIANTS[o["dtype"]][o["mode"]] if o["variant"] == "fastest" else [o["variant"]]
    best = variants[0]
    if len(variants) > 1:  # the first step warms up
        took = {}
        for name in variants:
            trainer = Trainer(folder, o["attention"], o["mode"], name)
            trainer.step(batch_of(0))
            took[name] = trainer.step(batch_of(1))[0]
            del trainer
        best = min(took, key=took.get)
    trainer = Trainer(folder, o["attention"], o["mode"], best)
    times, first = [], None
    if o["paced"] == "1":
        print(f"ready {best}", flush=True)
    for i in range(steps):
        if o["paced"] == "1" and not sys.stdin.readline():
            return
        seconds, busy, loss = trainer.step(batch_of(i))
        if o["paced"] == "1":
            print(f"step {seconds:.6f} {busy:.6f} {loss:.5f}", flush=True)
        times.append(seconds)
        first = loss if first is None else first
    median = statistics.median(times[1:] or times)
    print(f"torch {torch.__version__} + PEFT {o['mode']} {best} ({o['attention']}): {median:.4f} s/step, "
          f"{batch * seq / median:.0f} tok/s, first loss {first:.4f}")


main()

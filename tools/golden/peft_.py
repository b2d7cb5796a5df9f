# SPDX-License-Identifier: Apache-2.0
"""Adapters saved by PEFT with their logits and gradients, and two training curves of PyTorch's AdamW.

Writes <out>/peft/:

  base/            a tiny Llama
  lora/, rslora/   adapters of it, and golden.safetensors: input_ids, labels, base.logits (no adapter), logits, loss,
                   grad.<name in the adapter's file>
  curve_lora/      base/, adapter/ (as PEFT initialises it: B is zero), rows.jsonl, eval.jsonl, curve.json, and
                   final.safetensors, the adapter after the last step
  curve_full/      base/ (with biases), the same files, and final.safetensors, every parameter after the last step

Dropout is 0 everywhere and all arithmetic is fp32.
"""
import json
import os
import random
import shutil

import common

import peft
import torch
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

BASE = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=2, pad_token_id=None,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0))

ADAPTERS = {
    "lora": dict(r=4, lora_alpha=8, target_modules=ALL_LINEAR),
    # A pattern is a module's path, or the end of it from a dot on.
    "rslora": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], use_rslora=True,
                   rank_pattern={"v_proj": 6, "model.layers.0.self_attn.q_proj": 2},
                   alpha_pattern={"layers.1.self_attn.q_proj": 16}),
}

HYPER = dict(betas=[0.9, 0.999], eps=1e-8, weight_decay=0.1, max_grad_norm=1.0, schedule="cosine", warmup_steps=3,
             steps=20, rows_per_batch=2, accumulate=2)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def save_base(folder, kind, settings, seed, std):
    config = getattr(transformers, kind)(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    common.widen(model, seed, std)
    model.save_pretrained(folder)


def load_base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()


def add_adapter(model, settings, seed):
    torch.manual_seed(seed)
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **settings))
    return model.eval()


def save_adapter(model, folder, base_name):
    """save_pretrained, with a relative name for the base, a settled order of targets, and no model card."""
    model.peft_config["default"].base_model_name_or_path = base_name
    model.save_pretrained(folder)
    path = os.path.join(folder, "adapter_config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    config["target_modules"] = sorted(config["target_modules"])
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2, sort_keys=True)
    if os.path.exists(os.path.join(folder, "README.md")):
        os.remove(os.path.join(folder, "README.md"))


def file_name(parameter):
    """A parameter's name in adapter_model.safetensors: without the adapter's own name."""
    return parameter.replace(".default.", ".")


def make_adapter(name, out, seed, tokens):
    base = os.path.join(out, "base")
    folder = fresh(os.path.join(out, name))
    model = load_base(base)
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(3, model.config.vocab_size, (2, tokens), generator=generator)
    labels = input_ids.clone()
    labels[0, : tokens // 3] = -100
    labels[1, -3:] = -100
    with torch.no_grad():
        base_logits = model(input_ids=input_ids, use_cache=False).logits

    model = add_adapter(model, ADAPTERS[name], seed)
    with torch.no_grad():
        for parameter, p in model.named_parameters():
            if "lora_" in parameter:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
    save_adapter(model, folder, "../base")
    model = peft.PeftModel.from_pretrained(load_base(base), folder, is_trainable=True).eval()
    result = model(input_ids=input_ids, labels=labels, use_cache=False)
    result.loss.backward()
    tensors = {"input_ids": input_ids, "labels": labels, "base.logits": base_logits,
               "logits": result.logits.detach(), "loss": result.loss.detach()}
    for parameter, p in model.named_parameters():
        if p.requires_grad:
            tensors["grad." + file_name(parameter)] = p.grad.detach().clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(folder, "golden.safetensors"))
    common.readable(folder)
    print(f"{name}: loss {result.loss.item():.6f}, {len(tensors) - 5} gradients")


def make_rows(path, seed, count, vocab):
    """Rows of 4 to 24 tokens with something to learn: an answer counts on from its prompt's last token.

    Three in four are a masked prompt and an answer; the others are supervised throughout.
    """
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        prompt = [1] + [rng.randrange(3, vocab) for _ in range(rng.randint(1, 7))]
        step = rng.randint(1, 3)
        answer = [3 + (prompt[-1] - 3 + step * (k + 1)) % (vocab - 3) for k in range(rng.randint(1, 15))] + [2]
        masked = i % 4 != 3
        rows.append(dict(input_ids=prompt + answer, labels=([-100] * len(prompt) if masked else prompt) + answer))
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")
    return [(torch.tensor(r["input_ids"]), torch.tensor(r["labels"])) for r in rows]


def mean_loss(model, rows):
    with torch.no_grad():
        sums = [common.causal_loss_sum(model, *row) for row in rows]
    return sum(s.item() for s, _ in sums) / sum(n for _, n in sums)


def train(model, rows, held_out, lr, decay):
    """Twenty steps in the rows' own order; every row is a sequence of its own, its positions from 0."""
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [dict(params=[p for n, p in trained if decay(n, p)], weight_decay=HYPER["weight_decay"]),
              dict(params=[p for n, p in trained if not decay(n, p)], weight_decay=0.0)]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=tuple(HYPER["betas"]),
                                  eps=HYPER["eps"], foreach=False)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, HYPER["warmup_steps"], HYPER["steps"])
    window = HYPER["rows_per_batch"] * HYPER["accumulate"]
    record = dict(loss=[], grad_norm=[], lr=[], supervised=[])
    record["eval_loss_before"] = mean_loss(model, held_out)
    for step in range(HYPER["steps"]):
        batch = rows[step * window:(step + 1) * window]
        supervised = sum(int((labels[1:] != -100).sum()) for _, labels in batch)
        loss = 0.0
        for row in batch:
            total, _ = common.causal_loss_sum(model, *row)
            (total / supervised).backward()
            loss += total.item() / supervised
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in trained], HYPER["max_grad_norm"], foreach=False)
        record["loss"].append(loss)
        record["grad_norm"].append(norm.item())
        record["lr"].append(schedule.get_last_lr()[0])
        record["supervised"].append(supervised)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    record["eval_loss_after"] = mean_loss(model, held_out)
    return record


def make_curve(name, out, seed, lr):
    folder = fresh(os.path.join(out, name))
    base = os.path.join(folder, "base")
    lora = name == "curve_lora"
    if lora:
        save_base(base, "LlamaConfig", BASE, seed, 0.12)
    else:
        save_base(base, "Qwen2Config", dict(BASE, use_sliding_window=False), seed, 0.12)
    rows = make_rows(os.path.join(folder, "rows.jsonl"), seed + 1,
                     HYPER["steps"] * HYPER["rows_per_batch"] * HYPER["accumulate"], BASE["vocab_size"])
    held_out = make_rows(os.path.join(folder, "eval.jsonl"), seed + 2, 8, BASE["vocab_size"])
    settings = dict(r=4, lora_alpha=8, target_modules=ALL_LINEAR)

    def run(dtype):
        model = load_base(base)
        if lora:
            model = add_adapter(model, settings, seed + 3)
            if dtype == torch.float32:
                save_adapter(model, os.path.join(folder, "adapter"), "../base")
        model.to(dtype)
        # LoRA's matrices all decay; in a full run matrices do, norms and biases do not.
        record = train(model, rows, held_out, lr, lambda n, p: p.dim() == 2)
        return model, record

    model, record = run(torch.float32)
    if lora:
        final = peft.get_peft_model_state_dict(model)
    else:
        final = {n: p.detach() for n, p in model.named_parameters()}
    save_file({k: v.detach().contiguous().clone() for k, v in final.items()}, os.path.join(folder, "final.safetensors"))

    # How far rounding alone moves the curve: the same run in fp64 (transformers keeps its norms and rope in fp32).
    wide_model, wide = run(torch.float64)
    record["loss_fp64"] = wide["loss"]
    apart = max(abs(a - b) / b for a, b in zip(record["loss"], wide["loss"]))
    norms = max(abs(a - b) / b for a, b in zip(record["grad_norm"], wide["grad_norm"]))
    common.write_json(os.path.join(folder, "curve.json"), dict(optimizer="adamw", lr_max=lr, **HYPER, **record))
    common.readable(folder)
    print(f"{name}: loss {record['loss'][0]:.4f} -> {record['loss'][-1]:.4f}, eval {record['eval_loss_before']:.4f} "
          f"-> {record['eval_loss_after']:.4f}, grad norm {min(record['grad_norm']):.3f} to "
          f"{max(record['grad_norm']):.3f}, fp32 against fp64 at most {apart:.1e} (norms {norms:.1e})")


def main():
    args = common.arguments(__doc__.splitlines()[0], hidden="hidden size", layers="layers", vocab="vocabulary",
                            tokens="sequence length (24)")
    for key, value in (("hidden_size", args.hidden), ("num_hidden_layers", args.layers), ("vocab_size", args.vocab)):
        if value is not None:
            BASE[key] = value
    out = os.path.join(args.out, "peft")
    if any(common.wanted(args, name) for name in ADAPTERS):
        save_base(fresh(os.path.join(out, "base")), "LlamaConfig", BASE, common.sub_seed(args.seed, "base"), 0.25)
        common.readable(os.path.join(out, "base"))
    for name in ADAPTERS:
        if common.wanted(args, name):
            make_adapter(name, out, common.sub_seed(args.seed, name), args.tokens or 24)
    for name, lr in (("curve_lora", 3e-2), ("curve_full", 1e-2)):
        if common.wanted(args, name):
            make_curve(name, out, common.sub_seed(args.seed, name), lr)


if __name__ == "__main__":
    main()

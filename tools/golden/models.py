# SPDX-License-Identifier: Apache-2.0
"""One tiny random model per family, saved by transformers, with its logits, loss and every gradient.

Writes <out>/models/<family>/: config.json and model*.safetensors as save_pretrained leaves them,
config.v4.json (the same model in the spelling of transformers 4) and golden.safetensors:

  input_ids, labels      (B,T) int64; labels hold -100 where a position is not supervised
  logits                 (B,T,V) f32
  loss                   () f32, transformers' own: shifted, mean over the supervised positions
  grad.<parameter>       f32, of that loss
  packed.input_ids       (1,N) int64, three samples laid end to end
  packed.cu_seqlens      (4,) int32, where each begins, and the end
  packed.logits          (N,V) f32, each sample run alone with positions from 0

All arithmetic is fp32 and attention is the eager one, whatever type the weights are stored in.
"""
import json
import os
import shutil

import common

import torch
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

LLAMA = dict(vocab_size=128, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False,
             bos_token_id=1, eos_token_id=2, pad_token_id=None)


def rope(kind="default", theta=10000.0, **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


# family: (class of configuration, its settings, how to save)
FAMILIES = {
    # Grouped heads, a theta that is not the default.
    "llama": ("LlamaConfig", dict(LLAMA, num_hidden_layers=3, rope_parameters=rope(theta=500000.0)), {}),
    "llama_linear": ("LlamaConfig", dict(LLAMA, rope_parameters=rope("linear", factor=4.0)), {}),
    # head_dim 12 gives one frequency kept, one interpolated, four divided by the factor.
    "llama3": ("LlamaConfig",
               dict(LLAMA, hidden_size=48, intermediate_size=80, vocab_size=160, tie_word_embeddings=True,
                    max_position_embeddings=256,
                    rope_parameters=rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                         original_max_position_embeddings=32)), {}),
    "llama_yarn": ("LlamaConfig",
                   dict(LLAMA, hidden_size=64, intermediate_size=72, max_position_embeddings=128,
                        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32)), {}),
    # Biases on q, k and v.
    "qwen2": ("Qwen2Config",
              dict(LLAMA, vocab_size=152, rms_norm_eps=1e-6, rope_parameters=rope(theta=1000000.0),
                   use_sliding_window=False), {}),
    # Norms on q and k; head_dim 16 where hidden / heads is 8; tied.
    "qwen3": ("Qwen3Config",
              dict(LLAMA, vocab_size=152, rms_norm_eps=1e-6, head_dim=16, tie_word_embeddings=True,
                   rope_parameters=rope(theta=1000000.0), use_sliding_window=False), {}),
    # A window of 8 under sequences of 40.
    "mistral": ("MistralConfig", dict(LLAMA, sliding_window=8, rope_parameters=rope()), {}),
    "llama_sharded": ("LlamaConfig", dict(LLAMA, num_hidden_layers=3, rope_parameters=rope()),
                      dict(dtype=torch.bfloat16, max_shard_size="32KB")),
    "llama_fp16": ("LlamaConfig", dict(LLAMA, num_key_value_heads=4, rope_parameters=rope()),
                   dict(dtype=torch.float16)),
}

# What each family is here to show: the same weights with it taken away must give clearly other logits.
WITHOUT = {
    "llama": dict(rope_parameters=rope()),
    "llama_linear": dict(rope_parameters=rope()),
    "llama3": dict(rope_parameters=rope()),
    "llama_yarn": dict(rope_parameters=rope()),
    "mistral": dict(sliding_window=None),
}

# These two are written without head_dim and with "type" for "rope_type", as the oldest published files are.
OLDEST = ("llama_linear", "llama_sharded")


def v4_config(family, config):
    """The same configuration as transformers 4 wrote it: rope_theta and rope_scaling, torch_dtype."""
    old = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype", "layer_types")}
    parameters = dict(config["rope_parameters"])
    old["rope_theta"] = parameters.pop("rope_theta")
    if parameters["rope_type"] == "default":
        old["rope_scaling"] = None
    else:
        if family in OLDEST:
            parameters = {("type" if k == "rope_type" else k): v for k, v in parameters.items()}
        old["rope_scaling"] = parameters
    if family in OLDEST:
        old.pop("head_dim", None)
    if config["model_type"].startswith("qwen"):
        # transformers 4 wrote the window's size even where the window was off.
        old.update(use_sliding_window=False, sliding_window=16, max_window_layers=config["num_hidden_layers"])
    old["torch_dtype"] = config["dtype"]
    old["transformers_version"] = "4.46.3"
    return dict(sorted(old.items()))


def load(folder, config=None):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()


def golden(model, seed, batch, tokens):
    generator = torch.Generator().manual_seed(seed)
    vocab = model.config.vocab_size

    def draw(*shape):
        return torch.randint(3, vocab, shape, generator=generator)

    input_ids = draw(batch, tokens)
    input_ids[0, tokens // 3] = input_ids[0, 2]  # a token that comes twice: its embedding gradient is a sum
    labels = input_ids.clone()
    labels[0, : tokens // 4] = -100
    labels[1, tokens // 2: tokens // 2 + 5] = -100
    labels[-1, -2:] = -100

    model.zero_grad()
    result = model(input_ids=input_ids, labels=labels, use_cache=False)
    result.loss.backward()
    out = dict(input_ids=input_ids, labels=labels, logits=result.logits.detach(), loss=result.loss.detach())
    for name, p in model.named_parameters():
        out["grad." + name] = p.grad.detach().clone()

    lengths = (7, 1, tokens - 3)
    samples = [draw(1, n) for n in lengths]
    with torch.no_grad():
        logits = [model(input_ids=s, use_cache=False).logits[0] for s in samples]
    out["packed.input_ids"] = torch.cat(samples, dim=1)
    out["packed.cu_seqlens"] = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32)
    out["packed.logits"] = torch.cat(logits)
    return {k: v.contiguous() for k, v in out.items()}


def make(family, args):
    kind, settings, saving = FAMILIES[family]
    settings = dict(settings)
    for key, value in (("hidden_size", args.hidden), ("num_hidden_layers", args.layers), ("vocab_size", args.vocab),
                       ("num_attention_heads", args.heads), ("num_key_value_heads", args.kv_heads)):
        if value is not None:
            settings[key] = value
    saving = dict(saving)
    dtype = saving.pop("dtype", torch.float32)
    seed = common.sub_seed(args.seed, family)
    folder = os.path.join(args.out, "models", family)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)

    config = getattr(transformers, kind)(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    common.widen(model, seed)
    model.to(dtype).save_pretrained(folder, **saving)

    model = load(folder)
    tensors = golden(model, seed + 1, 2, args.tokens or 40)
    save_file(tensors, os.path.join(folder, "golden.safetensors"))
    common.readable(folder)

    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        old = v4_config(family, json.load(f))
    path = os.path.join(folder, "config.v4.json")
    common.write_json(path, old)
    again = load(folder, transformers.AutoConfig.from_pretrained(path))
    with torch.no_grad():
        logits = again(input_ids=tensors["input_ids"], use_cache=False).logits
    assert torch.equal(logits, tensors["logits"]), family + ": config.v4.json is not the same model"
    if family in WITHOUT:
        changed = transformers.AutoConfig.from_pretrained(folder, **WITHOUT[family])
        with torch.no_grad():
            logits = load(folder, changed)(input_ids=tensors["input_ids"], use_cache=False).logits
        change = ((logits - tensors["logits"]).norm() / tensors["logits"].norm()).item()
        print(f"{family}: without what it is here to show, logits move by {change:.3f}")
        assert change > 0.02, family
    print(f"{family}: loss {tensors['loss'].item():.6f}, logits std {tensors['logits'].std().item():.3f}, "
          f"{sum(p.numel() for p in model.parameters())} parameters")


def main():
    args = common.arguments(__doc__.splitlines()[0], hidden="hidden size", layers="layers", vocab="vocabulary",
                            heads="attention heads", kv_heads="key/value heads", tokens="sequence length (40)")
    for family in FAMILIES:
        if common.wanted(args, family):
            make(family, args)


if __name__ == "__main__":
    main()

"""PyTorch + PEFT, the peer of tests/bench/bench_step.c: same folder, same shapes, float32.

peer_lora.py FOLDER SEQ BATCH STEPS [sdpa|eager]
"""
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

folder, seq, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
attention = sys.argv[5] if len(sys.argv) > 5 else "sdpa"
torch.set_num_threads(int(__import__("os").environ.get("OMP_NUM_THREADS", 0)) or len(__import__("os").sched_getaffinity(0)))
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
trainable = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=1e-4)
times, first = [], None
for _ in range(steps):
    ids = torch.randint(0, model.config.vocab_size, (batch, seq))
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    value = loss.item()
    times.append(time.perf_counter() - start)
    first = value if first is None else first
median = statistics.median(times[1:])
print(f"torch {torch.__version__} + PEFT fp32 LoRA r16 ({attention}): {median:.4f} s/step, "
      f"{batch * seq / median:.0f} tok/s, first loss {first:.4f}")

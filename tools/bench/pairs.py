"""Training steps in alternating pairs: hone beside PyTorch + PEFT, and its formats beside each other.

pairs.py BENCH_STEP FOLDER [--peer PYTHON] [--large] [--only TEXT] [--threads N] [--pairs N]

Both programs of a pair are loaded; then they take turns, one step each, so that whatever else the
machine does meets both. The ratio is the median over the pairs. Models go to FOLDER and stay there.
"""
import argparse
import os
import statistics
import subprocess
import sys

# what is compared, size, method, rows, tokens of a row, pairs, (left, right)
ROWS = [
    ("LoRA bf16", "10M", "lora", 4, 512, 7, ("bf16", "peer")),
    ("LoRA bf16", "100M", "lora", 2, 512, 5, ("bf16", "peer")),
    ("LoRA fp32", "10M", "lora", 4, 512, 7, ("fp32", "peer")),
    ("LoRA fp32", "100M", "lora", 2, 512, 3, ("fp32", "peer")),
    ("full bf16", "10M", "full", 4, 512, 7, ("bf16", "peer")),
    ("full bf16", "100M", "full", 2, 512, 3, ("bf16", "peer")),
    ("full fp32", "10M", "full", 4, 512, 7, ("fp32", "peer")),
    ("full fp32", "100M", "full", 2, 512, 3, ("fp32", "peer")),
    ("LoRA nf4 : bf16", "100M", "lora", 1, 512, 7, ("nf4", "bf16")),
    ("LoRA nf4 : bf16", "100M", "lora", 4, 512, 3, ("nf4", "bf16")),
    ("LoRA int8 : bf16", "100M", "lora", 1, 512, 7, ("int8", "bf16")),
    ("LoRA int8 : bf16", "100M", "lora", 4, 512, 3, ("int8", "bf16")),
    ("GPT-2 size, full bf16", "gpt2", "full", 4, 64, 5, ("bf16", "peer")),
    ("GPT-2 size, full fp32", "gpt2", "full", 4, 64, 5, ("fp32", "peer")),
]
LARGE = [
    ("LoRA bf16", "1B", "lora", 1, 512, 3, ("bf16", "peer")),
    ("LoRA nf4 : bf16", "1B", "lora", 1, 512, 3, ("nf4", "bf16")),
]
# llm.c's train_gpt2.c, gcc -O3 -march=native -fopenmp, 2 threads of a Xeon with AMX and AVX-512
LLM_C = 42.0


class Program:
    """One that waits for its turn."""

    def __init__(self, words, env):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=env)
        self.what = self.answer("ready")

    def answer(self, word):
        for line in self.process.stdout:
            if line.split()[:1] == [word]:
                return line.split()[1:]
        raise RuntimeError(self.process.stderr.read().strip().rsplit("\n", 1)[-1] or "it ended")

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tuple(map(float, self.answer("step")))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def words_of(side, a, row, folder):
    _, _, method, batch, seq, pairs, (left, _) = row
    steps = pairs + 2
    if side == "peer":
        return [a.peer, os.path.join(os.path.dirname(__file__), "peer_lora.py"), folder, str(seq), str(batch), str(steps),
                f"dtype={left}", f"mode={method}", f"threads={a.threads}", "paced=1"]
    return [a.bench_step, "run", folder, str(seq), str(batch), str(steps), f"cpu/{side}", f"method={method}",
            f"threads={a.threads}", "paced=1"]


def measure(a, row):
    what, size, method, batch, seq, pairs, sides = row
    pairs = min(pairs, a.pairs)
    folder = os.path.join(a.folder, size)
    if not os.path.exists(os.path.join(folder, "tokens.i32")):
        subprocess.run([a.bench_step, "write", folder, size], check=True)
    environment = dict(os.environ)
    environment.setdefault("GOMP_SPINCOUNT", "2000")  # as hone sets it; on a shared machine it serves both
    sides = [s for s in sides if s != "peer" or a.peer]
    programs, times, busy, loss = [], [], [], []
    try:
        for side in sides:
            programs.append(Program(words_of(side, a, row, folder), environment))
        for turn in range(pairs + 1):  # the first warms up
            taken = [p.step() for p in programs]
            if turn == 0:
                loss = [t[2] for t in taken]
            else:
                times.append([t[0] for t in taken])
                busy.append([t[1] for t in taken])
    finally:
        for p in programs:
            p.close()
    median = [statistics.median(t[i] for t in times) for i in range(len(programs))]
    line = f"{what:<22} {size:>5} {batch:>2} x {seq:<4} {median[0]:>8.3f} s {batch * seq / median[0]:>7.0f} tok/s"
    if len(programs) == 2:
        # above 1: the left one is faster
        ratio = statistics.median(t[1] / t[0] for t in times)
        work = statistics.median(t[1] / t[0] for t in busy)
        name = f"PyTorch ({programs[1].what[0]})" if sides[1] == "peer" else sides[1]
        line += f"   {name:<18} {median[1]:>8.3f} s   {ratio:>5.2f} x  ({work:.2f} x processor time)"
        if abs(loss[0] - loss[1]) > 0.01 * abs(loss[1]):
            line += f"  FIRST LOSSES DIFFER: {loss[0]:.4f}, {loss[1]:.4f}"
    print(line, flush=True)
    if size == "gpt2":
        print(f"{'':<22} {batch * seq / median[0] / LLM_C:.0f} x the {LLM_C:.0f} tok/s llm.c was measured at on two threads "
              "of another Xeon (it is not run here)", flush=True)


def processor():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        lines = dict(line.split(":", 1) for line in f.read().split("\n\n")[0].splitlines() if ":" in line)
    facts = {k.strip(): v.strip() for k, v in lines.items()}
    flags = facts.get("flags", "").split()
    have = [f for f in ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx512f", "avx2") if f in flags]
    print(f"{facts.get('model name', 'unknown processor')}: {' '.join(have) or 'none of AVX2, AVX-512, AMX'}; "
          f"load of the last minute {os.getloadavg()[0]:.1f}")
    if "amx_bf16" not in flags:
        print("no AMX here: bf16 products are made of float32 ones, by hone and by PyTorch; goals for bf16 are "
              "set for processors with AMX")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("bench_step")
    parser.add_argument("folder")
    parser.add_argument("--peer")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--pairs", type=int, default=99)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = parser.parse_args()
    processor()
    print(f"== training steps, {a.threads} threads; x: seconds of the right one over those of the left one"
          + ("" if a.peer else "; without PyTorch"), flush=True)
    for row in ROWS + (LARGE if a.large else []):
        if a.only not in f"{row[0]} {row[1]}":
            continue
        try:
            measure(a, row)
        except RuntimeError as e:
            print(f"{row[0]:<22} {row[1]:>5} {row[3]:>2} x {row[4]:<4} left out: {e}", flush=True)


main()

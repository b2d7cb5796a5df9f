"""Hugging Face tokenizers and hone on the same texts, by turns: one core, warm, medians, and the same ids.

peer_tokenizers.py BENCH_TOKENIZER ROUNDS FOLDER... -- FILE...

Each file is encoded in documents of 4 KB and as one text. `encode_batch_fast` gives no places of tokens, hone does.
"""
import hashlib
import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers


def documents(data, size):
    """As document_end() of tests/bench/bench_tokenizer.c cuts."""
    i = 0
    while i < len(data):
        end = min(i + size, len(data)) if size else len(data)
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        yield data[i:end].decode()
        i = end


def hone(bench, folder, path, size):
    rate, _, n, _, digest = subprocess.run([bench, "run", folder, path, str(size), "3"], check=True, capture_output=True,
                                           text=True).stdout.split()
    return float(rate), int(n), digest


class Peer:
    def __init__(self, folder):
        self.tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.encode = getattr(self.tokenizer, "encode_batch_fast", self.tokenizer.encode_batch)

    def ids(self, texts):
        digest, n = hashlib.sha256(), 0
        for row in self.encode(texts, add_special_tokens=False):
            n += len(row.ids)
            digest.update(b"".join(i.to_bytes(4, "little") for i in row.ids))
        return n, digest.hexdigest()[:16]

    def rate(self, texts, n_bytes):
        start = time.perf_counter()
        self.encode(texts, add_special_tokens=False)
        return n_bytes / 1e6 / (time.perf_counter() - start)


def main():
    bench, rounds = sys.argv[1], int(sys.argv[2])
    at = sys.argv.index("--")
    print(f"tokenizers {tokenizers.__version__}, {rounds} rounds\n{'tokenizer':<14} {'text':<8} {'documents':>9} "
          f"{'hone MB/s':>10} {'HF MB/s':>8} {'ratio':>6}  ids")
    for folder in sys.argv[3:at]:
        peer = Peer(folder)
        for path in sys.argv[at + 1:]:
            with open(path, "rb") as f:
                data = f.read()
            for size in (4096, 0):
                texts = list(documents(data, size))
                theirs = peer.ids(texts)  # warms it as well
                ours, hf = [], []
                for _ in range(rounds):
                    rate, *mine = hone(bench, folder, path, size)
                    ours.append(rate)
                    hf.append(peer.rate(texts, len(data)))
                a, b = statistics.median(ours), statistics.median(hf)
                print(f"{os.path.basename(folder):<14} {os.path.basename(path):<8} {size or 'whole':>9} {a:>10.1f} {b:>8.2f} "
                      f"{a / b:>6.1f}  {'equal' if tuple(mine) == theirs else 'DIFFERENT'}", flush=True)


if __name__ == "__main__":
    main()

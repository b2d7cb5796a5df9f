"""rake-nltk and LangChain's splitter against hone on the same texts, by turns: one core, processor time, medians.

peer_recipes.py BENCH_RECIPES ROUNDS FOLDER -- FILE...

Keywords: documents of 4 KB, lines as sentences, the same stop words; the hash says that all phrases and scores are
equal. Chunks: 256 tokens, a tenth repeated, counted by the tokenizer of FOLDER; LangChain's length function
is the one its from_huggingface_tokenizer() makes. Without a peer that is not installed.
"""
import os
import re
import statistics
import struct
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = 4096
TOKENS = 256


def documents(data):
    """As document_end() of tests/bench/bench_recipes.c cuts."""
    i = 0
    while i < len(data):
        end = min(i + DOCUMENT, len(data))
        while end < len(data) and data[end - 1] != 10:
            end += 1
        yield data[i:end].decode()
        i = end


def stop_words():
    source = open(os.path.join(HERE, "..", "..", "plugins", "recipes", "stopwords.c"), encoding="utf-8").read()
    return "".join(re.findall(r'"([^"]*)"', source.split("/* english */")[1].split("/*")[0])).split()


def hone(words, *command):
    out = subprocess.run(command, input=words, check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), int(out[1]), out[2]


class Rake:
    name = "rake-nltk"

    def __init__(self, data):
        from rake_nltk import Rake as peer
        self.peer = peer(stopwords=set(stop_words()), sentence_tokenizer=lambda text: text.split("\n"))
        self.texts = list(documents(data))

    def run(self):
        ranked = []
        for text in self.texts:
            self.peer.extract_keywords_from_text(text)
            ranked.append(self.peer.get_ranked_phrases_with_scores())
        return ranked

    @staticmethod
    def digest(ranked):
        h, n = 0xCBF29CE484222325, 0
        for phrases in ranked:
            n += len(phrases)
            for score, words in phrases:
                for b in struct.pack("<d", score) + words.encode():
                    h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        return n, f"{h:016x}"


class Splitter:
    name = "langchain"

    def __init__(self, data, folder):
        from langchain_text_splitters import RecursiveCharacterTextSplitter
        from transformers import PreTrainedTokenizerFast
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))
        self.peer = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(tokenizer, chunk_size=TOKENS,
                                                                              chunk_overlap=TOKENS // 10)
        self.text = data.decode()

    def run(self):
        return self.peer.split_text(self.text)

    @staticmethod
    def digest(chunks):
        return len(chunks), ""


def compare(what, path, peer, rounds, command, words=None):
    with open(path, "rb") as f:
        size = len(f.read())
    theirs = peer.digest(peer.run())  # warms it as well
    ours, rates = [], []
    for _ in range(rounds):
        rate, *mine = hone(words, *command)
        ours.append(rate)
        start = time.process_time()
        peer.run()
        rates.append(size / 1e6 / (time.process_time() - start))
    a, b = statistics.median(ours), statistics.median(rates)
    note = f"{mine[0]} and {theirs[0]} chunks" if not theirs[1] else "equal" if tuple(mine) == theirs else "DIFFERENT"
    print(f"{what:<8} {os.path.basename(path):<8} {a:>10.2f} {b:>10.3f} {a / b:>7.1f}  {peer.name}, {note}", flush=True)


def main():
    bench, rounds, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    print(f"{'recipe':<8} {'text':<8} {'hone MB/s':>10} {'peer MB/s':>10} {'ratio':>7}")
    for path in sys.argv[5:]:
        with open(path, "rb") as f:
            data = f.read()
        for make in (lambda: ("keywords", Rake(data), [bench, "rake", path, str(DOCUMENT), "3"], " ".join(stop_words())),
                     lambda: ("chunks", Splitter(data, folder), [bench, "chunk", folder, path, str(TOKENS), "3"], None)):
            try:
                what, peer, command, words = make()
            except ImportError as e:
                print(f"left out: {e}")
                continue
            compare(what, path, peer, rounds, command, words)


if __name__ == "__main__":
    main()

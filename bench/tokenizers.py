"""How fast texts become GPT-2's tokens, and byte pairs are learned: genzoo beside tiktoken and Hugging Face's tokenizers.

    python bench/tokenizers.py TEXT --gpt2 FOLDER [--rounds 5]

FOLDER holds GPT-2's vocab.bpe and encoder.json. Each takes its turn in every round, with one thread; the table gives the
fastest and the slowest round, in MB/s of text (a million bytes) for encoding and in seconds for learning 8,192 tokens
with ByteLevel. All must make the same tokens. Reading the files and starting the program do not count.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.pop(0)  # this file has a package's name
import tiktoken  # noqa: E402
import tiktoken.load  # noqa: E402
import tokenizers  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 8192


def genzoo(*arguments: str) -> dict:
    result = subprocess.run([ROOT / "build/genzoo", "tokenizer", *arguments, "--json"], capture_output=True, text=True,
                            check=True)
    return json.loads(result.stdout)


def timed(action) -> tuple[float, object]:
    begin = time.perf_counter()
    result = action()
    return time.perf_counter() - begin, result


def learn(path: Path) -> None:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train([str(path)], tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--gpt2", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    text = options.text.read_text()
    size = len(text.encode())
    files = options.gpt2 / "vocab.bpe", options.gpt2 / "encoder.json"
    ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(*map(str, files))
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    rival = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "gpt2.json", Path(folder) / "out"
        face = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(files[1]), str(files[0])))
        face.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        encode = {"genzoo": lambda: genzoo("encode", str(options.text), "--tokenizer", str(options.gpt2), "--out", str(out)),
                  "tiktoken": lambda: rival.encode_ordinary(text), "tokenizers": lambda: face.encode(text)}
        train = {"genzoo": lambda: genzoo("train", str(options.text), "--vocab-size", str(VOCABULARY), "--out", str(file)),
                 "tokenizers": lambda: learn(options.text)}
        seconds: dict[tuple[str, str], list[float]] = {}
        counts = set()
        for _ in range(options.rounds):
            for task, runs in (("encode", encode), ("train", train)):
                for name, action in runs.items():
                    took, result = timed(action)
                    if name == "genzoo":
                        took = result["seconds"]
                    seconds.setdefault((task, name), []).append(took)
                    if task == "encode":
                        counts.add(result["tokens"] if name == "genzoo" else len(getattr(result, "ids", result)))
    assert len(counts) == 1, counts
    print(f"{size} bytes, {counts.pop()} tokens; tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}")
    for (task, name), all_seconds in seconds.items():
        least, most = min(all_seconds), max(all_seconds)
        print(f"{task:6} {name:10} " + (f"{size / most / 1e6:.1f} to {size / least / 1e6:.1f} MB/s" if task == "encode"
                                         else f"{least:.2f} to {most:.2f} s"))


main()

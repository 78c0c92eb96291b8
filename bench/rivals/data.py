"""Sizes of the workloads, and their data, found where genzoo finds them. Needs NumPy alone.

A set NAME is looked for in $GENZOO_DATA/NAME, in genzoo's cache (~/.cache/genzoo/NAME) and, Fashion-MNIST, where
Debian's package puts it. Random data of the same size stand in for a missing text or table; a missing Fashion-MNIST
ends the program with a line that says so.
"""
from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class GPTSize:
    layers: int
    heads: int
    width: int
    context: int
    vocabulary: int
    bias: bool
    learning_rate: float


GPT_SIZES = {
    "gpt_char_cpu": GPTSize(4, 4, 128, 64, 65, bias=False, learning_rate=1e-3),
    "gpt_char_384": GPTSize(6, 6, 384, 256, 65, bias=False, learning_rate=1e-3),
    "gpt2_124m": GPTSize(12, 12, 768, 256, 50304, bias=True, learning_rate=3e-4),
    "decode": GPTSize(12, 12, 768, 1024, 50304, bias=True, learning_rate=0.0),
}
BATCH_SIZES = {"vae_mlp": 128, "vae_conv": 128, "dcgan32": 64, "realnvp_tab": 512, "realnvp_784": 128,
               "gpt_char_cpu": 12, "gpt_char_384": 8, "gpt2_124m": 2, "decode": 1}
PROMPT_TOKENS, NEW_TOKENS = 16, 128

CHARACTERS, TEXT_LENGTH, TRAINING_SHARE = 65, 1_115_394, 0.9  # of tiny Shakespeare
ROWS, BITS = 16_181, 16                                       # of NLTCS


def items_per_step(workload: str) -> int:
    """Images, rows, or tokens predicted."""
    context = GPT_SIZES[workload].context if workload in GPT_SIZES else 1
    return BATCH_SIZES[workload] * context


@dataclass(frozen=True)
class Data:
    values: np.ndarray  # integers
    description: str


def fashion_mnist() -> Data:
    """uint8 (60000, 28, 28)."""
    path, folders = _find("fashion_mnist", ["train-images-idx3-ubyte"], Path("/usr/share/datasets/fashion-mnist"))
    if path is None:
        looked = ", ".join(map(str, folders))
        raise SystemExit(f"fashion_mnist: not found: looked for train-images-idx3-ubyte (or .gz) in {looked}")
    pixels = np.frombuffer(_read(path), np.uint8, offset=16)  # after magic number, count, height, width
    return Data(pixels.reshape(-1, 28, 28).copy(), "fashion_mnist")


def nltcs() -> Data:
    """uint8 (16181, 16) of 0 and 1."""
    path, _ = _find("debd", ["nltcs.train"])
    if path is None:
        bits = np.random.default_rng(0).integers(0, 2, (ROWS, BITS), dtype=np.uint8)
        return Data(bits, "random, in place of debd_nltcs, which is missing")
    characters = np.frombuffer(_read(path), np.uint8)
    bits = characters[(characters == ord("0")) | (characters == ord("1"))] - ord("0")
    return Data(bits.reshape(-1, BITS), "debd_nltcs")


def tiny_shakespeare() -> Data:
    """int16 (1003854): the training part's characters, as places among all 65 sorted ones."""
    path, _ = _find("tiny_shakespeare", ["tinyshakespeare.txt", "input.txt"])
    if path is None:
        length = int(TRAINING_SHARE * TEXT_LENGTH)
        text = np.random.default_rng(0).integers(0, CHARACTERS, length, dtype=np.int16)
        return Data(text, "random, in place of tiny_shakespeare, which is missing")
    characters = np.frombuffer(_read(path), np.uint8)
    _, places = np.unique(characters, return_inverse=True)
    return Data(places[:int(TRAINING_SHARE * len(places))].astype(np.int16), "tiny_shakespeare")


def _find(name: str, files: list[str], package: Path | None = None) -> tuple[Path | None, list[Path]]:
    """The first of the files, plain or with .gz, in the first folder that has one; and the folders looked in."""
    folders = []
    if given := os.environ.get("GENZOO_DATA"):
        folders.append(Path(given) / name)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    folders.append((Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "genzoo" / name)
    if package:
        folders.append(package)
    candidates = [folder / (file + end) for folder in folders for file in files for end in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None), folders


def _read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

"""Writes tokenizers.json: what Hugging Face's `tokenizers` (0.23) learns and how it encodes.

    python tests/reference/tokenizers.py

    {"trained": [{"text", "special", "vocab_size", "min_frequency", "tokens", "merges"}, ...],
     "tokenizer": a whole tokenizer.json,
     "encoded": [{"name", "tokenizer", "texts": [{"text", "ids", "decoded"}, ...]}, ...]}

A case's `tokenizer` holds the sections in which its own differs. Texts are encoded without what a post-processor adds;
`decoded` is null where there is no decoder.
"""

import json
import pathlib
import random
import sys
import tempfile

sys.path.pop(0)  # this file has the package's name
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

ALPHABET = pre_tokenizers.ByteLevel.alphabet()

VERSES = """In the beginning God created the heaven and the earth.
And the earth was without form, and void; and darkness was upon the face of the deep.

  And God said, Let there be light: and there was light.\tIt's 1611, isn't it? We'll see; they're 40, I'd say, you've 7.
And God saw the light, that it was good: and God divided the light from the darkness.
"""

TEXTS = [
    "",
    " ",
    "hello world",
    "And God said, Let there be light",
    "  two  spaces   and\n\nlines \r\n\tand tabs\t\t",
    "it's they'll WE'RE I'd 'tis o'clock''",
    "1234567 12 3,141.59 2nd ¼ ٣ Ⅷ",
    "hello 👋 world 🌍 👨‍👩‍👧",
    "naïve café Ελλάδα привет 你好世界 こんにちは e\u0301",
    "no\u00a0break thin\u2009space ideographic\u3000space vowel\u180eseparator line\u2028end next\u0085line",
    "aaaaaaaaaaaaaaaaaaaaaaa bbbbbbb",
    "<|endoftext|><|end|> <|endoftext|> <mask>word mask maskmask mask_ <mask> <sep>  x  <sep>y",
    "\x00\x01\x7f ~!@#$%^&*()_+{}|:\"<>?`-=[]\\;',./",
    " light light light",
    "x\n<mask> y  \n <mask>\n",
    "xab ab½ ab\u0301 abⓐ ab_ ab",
    "a<s> <s>a<s>",
]


def train(text, vocab_size, min_frequency=2, special=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=min_frequency, initial_alphabet=ALPHABET,
                                  special_tokens=list(special), show_progress=False)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", newline="") as file:
        file.write(text)
        file.flush()
        tokenizer.train([file.name], trainer)
    return tokenizer


def trained_case(text, vocab_size, min_frequency=2, special=()):
    model = json.loads(train(text, vocab_size, min_frequency, special).to_str())["model"]
    return {"text": text, "special": special, "vocab_size": vocab_size, "min_frequency": min_frequency,
            "tokens": sorted(model["vocab"], key=model["vocab"].get), "merges": model["merges"]}


def random_text(rng, letters, words):
    """Few letters, so that many pairs are as frequent as each other."""
    return " ".join("".join(rng.choice(letters) for _ in range(rng.randint(1, 9))) for _ in range(words))


def trained():
    rng = random.Random(1)
    yield trained_case(VERSES, 320)
    yield trained_case(VERSES, 280)
    yield trained_case(VERSES, 100000)  # until no pair is left
    yield trained_case(VERSES, 100000, min_frequency=1)
    yield trained_case("aaaa aaaaaaa aaa aa a\naaaaaaaaaaaaa", 100000, min_frequency=1)
    yield trained_case("abcabc abc bc ab bcab cabc abcabcabc", 100000, min_frequency=1)
    yield trained_case("é è ê 你好 你 好好 👋👋 👋", 100000, min_frequency=1)
    yield trained_case(VERSES, 400, special=["<|endoftext|>", "the", "he", "a"])  # merges make some of them again
    for letters in ("ab", "abc", "abcdefgh"):
        for words in (10, 60):
            yield trained_case(random_text(rng, letters, words), 100000, min_frequency=1)


BASE = json.loads(train(VERSES * 2 + " ".join(TEXTS), 600).to_str())


def encoded_case(name, tokenizer):
    texts = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False) if tokenizer.decoder else None
        texts.append({"text": text, "ids": ids, "decoded": decoded})
    file = json.loads(tokenizer.to_str())
    return {"name": name, "tokenizer": {key: file[key] for key in file if file[key] != BASE[key]}, "texts": texts}


def with_pre_tokenizer(pre_tokenizer, ignore_merges=False):
    tokenizer = Tokenizer.from_str(json.dumps(BASE))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.model.ignore_merges = ignore_merges
    return tokenizer


def added_tokens():
    tokenizer = with_pre_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|end|>", AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("mask", single_word=True), AddedToken("<sep>", rstrip=True), "<|end"])
    return tokenizer


def overlapping():
    tokenizer = with_pre_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<s>", normalized=False)])
    tokenizer.add_tokens([AddedToken("\n", normalized=False), AddedToken("ab", single_word=True), "b", "a<s>"])
    return tokenizer


def characters(**settings):
    tokenizer = train("hello world low lower", 300)
    vocabulary = {token: i for i, token in enumerate(
        ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"helowrd", " ", "lo", "he", "low", "hello", "é", "你"])}
    merges = [("l", "o"), ("h", "e"), ("lo", "w")]
    tokenizer.model = models.BPE(vocabulary, merges, unk_token="<unk>", **settings)
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def encoded():
    byte_level = pre_tokenizers.ByteLevel
    yield encoded_case("byte-level", with_pre_tokenizer(byte_level(add_prefix_space=False)))
    yield encoded_case("with a space before", with_pre_tokenizer(byte_level(add_prefix_space=True)))
    yield encoded_case("without a pattern", with_pre_tokenizer(byte_level(add_prefix_space=False, use_regex=False)))
    for individual in (False, True):
        yield encoded_case(f"digits, {individual}", with_pre_tokenizer(pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=individual), byte_level(add_prefix_space=True)])))
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+")
    for ignore in (False, True):
        yield encoded_case(f"a pattern of its own, {ignore}", with_pre_tokenizer(pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(llama3), "isolated"), byte_level(add_prefix_space=False, use_regex=False)]),
            ignore))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            for pattern in (" ", Regex(r"[aeiou]")):
                yield encoded_case(f"{behavior}, {invert}", with_pre_tokenizer(pre_tokenizers.Sequence(
                    [pre_tokenizers.Split(pattern, behavior, invert),
                     byte_level(add_prefix_space=False, use_regex=False)])))
    for pattern in (r"(?=(\d{3})+(?!\d))", r"^ +", r"[[:alpha:]\s]+", r"[^]\s-]+", "\\s*"):
        yield encoded_case(f"pattern {pattern}", with_pre_tokenizer(pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(add_prefix_space=False, use_regex=False)])))
    yield encoded_case("added tokens", added_tokens())
    yield encoded_case("added tokens that overlap", overlapping())
    for fuse in (False, True):
        yield encoded_case(f"characters, {fuse}", characters(fuse_unk=fuse))
    yield encoded_case("characters or bytes", characters(byte_fallback=True))
    yield encoded_case("whole pieces first", characters(ignore_merges=True))


def compact(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


path = pathlib.Path(__file__).with_suffix(".json")
sections = [f'"{name}":[\n' + ",\n".join(map(compact, cases)) + "\n]"
            for name, cases in (("trained", trained()), ("encoded", encoded()))]
sections.insert(1, f'"tokenizer":{compact(BASE)}')
path.write_text("{" + ",\n".join(sections) + "}\n")

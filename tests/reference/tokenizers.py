"""Writes tokenizers.json: what Hugging Face's `tokenizers` (0.23) learns and how it encodes.

    python tests/reference/tokenizers.py

    {"trained": [{"text", "special", "vocab_size", "min_frequency", "tokens", "merges"}, ...],
     "tokenizer": a whole tokenizer.json,
     "encoded": [{"name", "tokenizer", "texts": [{"text", "ids", "decoded"}, ...]}, ...],
     "whole": [{"name", "first", "second", "ids", "types"}, ...],
     "words": [{"text", "vocab_size", "min_frequency", "pre_tokenizer", "decoder", "vocab", "texts"}, ...],
     "texts": [...],
     "normalized": [{"normalizer", "texts": [...]}, ...]}

A case's `tokenizer` holds the sections in which its own differs. Texts are encoded without what a post-processor adds;
`decoded` is null where there is no decoder. `whole` is with what it adds, for the tokenizer `name` of `encoded`.
`normalized` is what normalizers make of `texts`.

    python tests/reference/tokenizers.py --read FOLDER

reads each tokenizer.json in a folder, which genzoo wrote, and compares it with the case that its name counts.
"""

import json
import pathlib
import random
import sys
import tempfile

sys.path.pop(0)  # this file has the package's name
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,  # noqa: E402
                        processors, trainers)

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


def encoded_case(name, tokenizer, more=()):
    texts = []
    for text in [*TEXTS, *more]:
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


LETTERS = sorted("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"-éèñß你好世界ЖФ")


def bert(lowercase):
    """As bert-base-uncased and -cased are made, of few pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=lowercase)
    pieces = [*LETTERS, *("##" + c for c in LETTERS), "the", "and", "god", "light", "##ight", "##s", "##ing", "earth",
              "said", "saw", "it", "was", "dar", "##kn", "##ess", "hell", "##o", "world", "naive", "cafe", "1", "##234"]
    tokenizer.model = models.WordPiece({piece: i for i, piece in enumerate(dict.fromkeys(special + pieces))},
                                       unk_token="[UNK]", max_input_chars_per_word=20)
    tokenizer.add_special_tokens(special)
    if lowercase:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    else:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


LLAMA_MERGES = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("i", "n"), ("▁", "a"), ("n", "d"), ("▁a", "nd"), ("▁", "g"),
                ("▁", "l"), ("i", "g"), ("▁l", "ig"), ("h", "t"), ("▁lig", "ht"), ("▁", "▁"), ("l", "l"), ("he", "ll"),
                ("hell", "o"), ("▁", "w"), ("o", "r"), ("▁w", "or"), ("l", "d"), ("▁wor", "ld"), ("▁▁", "▁▁"), ("1", "2")]


def llama(kind):
    """LLaMA's: byte pairs over characters, spaces written as U+2581, bytes for what has no token. `legacy` as converted
    first, with a normalizer; `always`, `first`, `never`: with Metaspace, which differs in where a space is prepended."""
    characters = dict.fromkeys("▁" + "".join(LETTERS))
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)),
              *("".join(merge) for merge in LLAMA_MERGES), *characters]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, LLAMA_MERGES,
                                     unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if kind == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind, split=kind == "never")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in pieces[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                             special_tokens=[("<s>", 1)])
    return tokenizer


def words():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces = ["<unk>", "the", "and", "god", "light", "said", ",", ".", "there", "be", "x", "12", "ab", "123", "naïve"]
    tokenizer.model = models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>")
    return tokenizer  # without a decoder


def neox():
    """GPT-NeoX's: composed characters, and tokens for several spaces."""
    tokenizer = with_pre_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    tokenizer.add_tokens([AddedToken("\u0958", normalized=True)])  # which is two characters when it is composed
    tokenizer.post_processor = processors.ByteLevel()
    return tokenizer


def roberta():
    tokenizer = with_pre_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.post_processor = processors.RobertaProcessing(("!", 0), ("#", 2))
    return tokenizer


def charsmap(rules):
    """The normalization rules of a SentencePiece model that was trained with them, or with the named ones."""
    import sentencepiece
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder) / "rules.tsv"
        tsv.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in old)}\t{' '.join(f'{ord(c):X}' for c in new)}\n"
                               for old, new in rules.items()))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([VERSES] * 4), model_prefix=f"{folder}/m", vocab_size=60, normalization_rule_tsv=tsv,
            minloglevel=2)
        return bytes_of_charsmap((pathlib.Path(folder) / "m.model").read_bytes())


def bytes_of_charsmap(model):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    return proto.normalizer_spec.precompiled_charsmap


RULES = {"ﬁ": "fi", "½": "1/2", "…": "...", "é": "e", "e\u0301": "e", "Ａ": "A", "\t": " ", "\u00a0": " ", "\u2009": " ",
         "👋": "[wave]", "\u200d": ""}


def t5(byte_fallback=False):
    """T5's: a unigram model behind SentencePiece's own rules and Metaspace."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁the", -3.1), ("▁and", -3.3), ("the", -5.25),
              ("▁l", -4.0), ("ight", -4.5), ("▁light", -5.0), ("g", -6.0), ("h", -5.5), ("t", -4.0), ("▁t", -3.9),
              ("s", -3.0), ("▁he", -4.2), ("he", -4.1), ("llo", -5.7), ("aa", -4.0), ("aaa", -6.0), ("aaaa", -7.9),
              ("1", -5.0), ("12", -6.1), ("23", -6.1), ("3", -5.0), ("fi", -5.0), ("好世", -7.0)]
    known = {piece for piece, _ in pieces}
    pieces += [(c, -6.5 - i / 16) for i, c in enumerate(LETTERS) if c not in known and c not in "ЖФ你Z"]
    if byte_fallback:
        pieces += [(f"<0x{byte:02X}>", 0.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=byte_fallback))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap(RULES)), normalizers.Strip(),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    if byte_fallback:
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])])
    return tokenizer


def punctuated(pre_tokenizer):
    tokenizer = characters(fuse_unk=True)
    tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


def whole_models():
    return {"BERT, uncased": bert(True), "BERT, cased": bert(False), "T5": t5(), "RoBERTa": roberta(), "GPT-NeoX": neox(),
            **{f"LLaMA, {kind}": llama(kind) for kind in ("legacy", "always", "first", "never")}}


def models_of_today():
    for name, tokenizer in whole_models().items():
        yield encoded_case(name, tokenizer, ["x \u0958a \u0915\u093ca"] if name == "GPT-NeoX" else [])
    yield encoded_case("words", words())
    yield encoded_case("T5 with bytes", t5(byte_fallback=True))
    for name, pre_tokenizer in {
            **{f"punctuation, {behavior}": pre_tokenizers.Punctuation(behavior) for behavior in
               ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")},
            "white space": pre_tokenizers.WhitespaceSplit(), "words and signs": pre_tokenizers.Whitespace(),
            "a delimiter": pre_tokenizers.CharDelimiterSplit("o"),
            "pieces of pieces": pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                         pre_tokenizers.Metaspace(prepend_scheme="first")])}.items():
        yield encoded_case(name, punctuated(pre_tokenizer))
    tokenizer = characters(fuse_unk=True)
    tokenizer.decoder = decoders.BPEDecoder(suffix="lo")
    yield encoded_case("suffixes", tokenizer)


def whole():
    pairs = [("hello world", None), ("", None), ("And God said", "Let there be light"), ("", ""), ("light", "")]
    for name, tokenizer in whole_models().items():
        for first, second in pairs:
            encoding = tokenizer.encode(first, second)
            yield {"name": name, "first": first, "second": second, "ids": encoding.ids, "types": encoding.type_ids}


def words_case(text, vocab_size, min_frequency):
    """The tokens of data/tokenizers/word_tokens.cpp."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*|\n|[^\s\p{L}\p{M}\p{N}]"), "removed", invert=True)
    tokenizer.decoder = decoders.Sequence([
        decoders.WordPiece("##", cleanup=False), decoders.Fuse(), decoders.Replace(Regex(" ?\\n ?"), "\n"),
        decoders.Replace(Regex(r" (?=[,.;:!?)\]}’”…%])|(?<=[(\[{‘“]) "), "")])
    tokenizer.train_from_iterator([text], trainers.WordLevelTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=["<unk>"], show_progress=False))
    file = json.loads(tokenizer.to_str())
    texts = [{"text": each, "ids": (ids := tokenizer.encode(each).ids),
              "decoded": tokenizer.decode(ids, skip_special_tokens=False)} for each in [VERSES, *TEXTS]
             if "<" not in each]  # which makes an added token of the unknown one
    return {"text": text, "vocab_size": vocab_size, "min_frequency": min_frequency, "texts": texts,
            "pre_tokenizer": file["pre_tokenizer"], "decoder": file["decoder"], "vocab": file["model"]["vocab"]}


def words_of_texts():
    everything = VERSES + " ".join(TEXTS)
    yield words_case(everything, 1000, 1)
    yield words_case(everything, 30, 1)
    yield words_case(VERSES, 1000, 2)


NORMALIZED = [*TEXTS, "ﬁ ½ … Ａ é e\u0301 İstanbul ΟΔΥΣΣΕΥΣ Straße ﬃ", "\t a\u00a0b\u2028c\u0085d\u200be\ufefff\ufffd ",
              "x\u0301\u0323 가 \u1100\u1161 \u0958 \u212b \u2126 各国 𠀀 a\u20dd का", "\x00\x01\x0b\x7f\ue000\u00ad",
              "👨‍👩‍👧 🇩🇪 é\u0301 👋👋 \r\n", "   ", "a  b   c    "]


def normalized():
    for each in (normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(),
                 normalizers.StripAccents(), normalizers.Nmt(), normalizers.Strip(left=True, right=False),
                 normalizers.Strip(left=False, right=True), normalizers.Strip(), normalizers.Prepend("▁"),
                 normalizers.Replace(" ", "▁"), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Replace(Regex("[aeiou]+"), "-"), normalizers.BertNormalizer(),
                 normalizers.BertNormalizer(lowercase=False), normalizers.BertNormalizer(strip_accents=False),
                 normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False),
                 normalizers.Precompiled(charsmap(RULES)),
                 normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])):
        yield {"normalizer": json.loads(each.__getstate__()), "texts": [each.normalize_str(text) for text in NORMALIZED]}


def read_again(folder):
    """Whether `tokenizers` reads what genzoo wrote as it reads its own."""
    cases = json.loads(PATH.read_text())["encoded"]
    read = 0
    for file in sorted(folder.glob("*.json")):
        tokenizer = Tokenizer.from_file(str(file))
        for example in cases[int(file.stem)]["texts"]:
            ids = tokenizer.encode(example["text"], add_special_tokens=False).ids
            assert ids == example["ids"], (file, example["text"])
            if example["decoded"] is not None:
                assert tokenizer.decode(ids, skip_special_tokens=False) == example["decoded"], (file, example["text"])
        read += 1
    print(f"{read} files of {len(cases)} cases read")


def compact(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


PATH = pathlib.Path(__file__).with_suffix(".json")


def write():
    sections = [f'"{name}":[\n' + ",\n".join(map(compact, cases)) + "\n]"
                for name, cases in (("trained", trained()), ("encoded", [*encoded(), *models_of_today()]),
                                    ("whole", whole()), ("words", words_of_texts()), ("texts", NORMALIZED), ("normalized", normalized()))]
    sections.insert(1, f'"tokenizer":{compact(BASE)}')
    PATH.write_text("{" + ",\n".join(sections) + "}\n")


if len(sys.argv) == 3 and sys.argv[1] == "--read":
    read_again(pathlib.Path(sys.argv[2]))
else:
    write()

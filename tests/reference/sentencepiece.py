"""Writes sentencepiece.json: small models that SentencePiece (0.2) learns, and how it encodes with them.

    python tests/reference/sentencepiece.py

    {"models": [{"name", "model": the file in base64, "texts": [{"text", "ids", "decoded"}, ...]}, ...]}

`decoded` is null where an unknown token's text is the model's own business.
"""

import base64
import io
import json
import pathlib
import sys

sys.path.pop(0)  # this file has the package's name
import sentencepiece  # noqa: E402

VERSES = """In the beginning God created the heaven and the earth.
And the earth was without form, and void; and darkness was upon the face of the deep.
And God said, Let there be light: and there was light.
And God saw the light, that it was good: and God divided the light from the darkness.
"""

TEXTS = ["", " ", "   ", "And God said, Let there be light", "  two  spaces   and more ", "hello world", "the\u2581light",
         "naïve café Ελλάδα 你好世界 👋🌍", "1611 12 3,141.59", "earth\nheaven\tdeep", "ﬁrst Ａnd ½ … e\u0301",
         "aaaaaaaa the the  the", "a[X]b [X] [X][X]c", "\u00a0the\u3000light\u00a0", "thethethe darknessdarkness"]


def case(name, decodes=True, **settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(VERSES.splitlines() * 5), model_writer=model,
                                             minloglevel=2, num_threads=1, **settings)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    texts = [{"text": text, "ids": processor.encode(text), "decoded": processor.decode(processor.encode(text))
              if decodes else None} for text in TEXTS]
    return {"name": name, "model": base64.b64encode(model.getvalue()).decode(), "texts": texts}


def write():
    folder = pathlib.Path(__file__).parent
    rules = folder / "rules.tsv"
    rules.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in old)}\t{' '.join(f'{ord(c):X}' for c in new)}\n"
                             for old, new in {"ﬁ": "fi", "½": "1/2", "…": "...", "e\u0301": "e", "Ａ": "A", "\t": " ",
                                              "\n": " ", "\u00a0": " ", "\u3000": " "}.items()))
    try:
        cases = [
            case("bpe", model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity"),
            case("bpe as LLaMA's", model_type="bpe", vocab_size=420, byte_fallback=True, split_digits=True,
                 normalization_rule_name="identity", remove_extra_whitespaces=False,
                 allow_whitespace_only_pieces=True),
            case("bpe with unknown ones", False, model_type="bpe", vocab_size=140, normalization_rule_name="identity"),
            case("unigram", False, model_type="unigram", vocab_size=50, normalization_rule_tsv=str(rules), pad_id=3,
                 user_defined_symbols=["[X]"]),
            case("unigram with bytes", model_type="unigram", vocab_size=305, byte_fallback=True,
                 normalization_rule_tsv=str(rules)),
            case("unigram without a space before", False, model_type="unigram", vocab_size=48, add_dummy_prefix=False,
                 normalization_rule_name="identity"),
            case("words", False, model_type="word", vocab_size=20, normalization_rule_name="identity"),
        ]
    finally:
        rules.unlink()
    lines = ",\n".join(json.dumps(each, ensure_ascii=True, separators=(",", ":")) for each in cases)
    pathlib.Path(__file__).with_suffix(".json").write_text('{"models":[\n' + lines + "\n]}\n")


write()

"""Writes translation_metrics.json: what sacrebleu (2.6) says of translations.

    python tests/reference/translation_metrics.py

    {"words": [{"text", "words"}, ...],       its tokenization 13a
     "corpora": [{"name", "translations", "references", "bleu", "chrf"}, ...]}
"""

import json
import pathlib
import random

from sacrebleu import corpus_bleu, corpus_chrf
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

TEXTS = [
    "",
    "   ",
    "The cat sat on the mat.",
    "It costs 3,141.59 or .5, or 5. or 1,000-fold; a 20-30 range, e.g. 2.",
    "\"Quoted\" &quot;entities&quot; &amp;lt; &lt;b&gt; AT&T <skipped>here",
    "don't o'clock 'tis (brackets) [and] {braces} a/b a\\b #1 100% $5 @home x=y *star* ~ ` ^ _ |",
    "ends with a dash-\nand a line\nand another  \n",
    "dash at the end-  ",
    "...,, ,. .,9,.8 ,,,a.b.c.",
    "naïve café, Ελλάδα. привет, 你好，世界。 “quotes” – dash … 3 000,5 €",
    "non\u00a0breaking\u2003em\u3000ideographic\u200bzero\x1cseparator",
    "é.é,è",
    "👋,🌍.",
]

SENTENCES = """It is a guide to action which ensures that the military always obeys the commands of the party.
It is to insure the troops forever hearing the activity guidebook that party direct.
The cat is on the mat, isn't it?
There were 1,234.5 cats in 20-30 houses; the rest (some 7%) had dogs.
Der Mann, der über die Straße ging, grüßte - niemanden.
Ελλάδα: η χώρα του φωτός.
那只猫坐在垫子上。""".splitlines()


def broken(sentence, rate, rng):
    words = []
    for word in sentence.split():
        draw = rng.random()
        if draw < rate / 3:
            continue
        if draw < 2 * rate / 3:
            word = word[::-1]
        elif draw < rate:
            words.append(word)
        words.append(word)
    return " ".join(words)


def corpus(name, translations, references):
    return {"name": name, "translations": translations, "references": references,
            "bleu": corpus_bleu(translations, [references]).score,
            "chrf": corpus_chrf(translations, [references]).score}


def main():
    rng = random.Random(0)
    tokenizer = Tokenizer13a()
    corpora = [
        corpus("the same", SENTENCES, SENTENCES),
        corpus("nothing in common", ["abc def ghi jkl"], ["mno pqr stu vwx"]),
        corpus("too short for 4-grams", ["the cat"], ["the cat"]),
        corpus("single words", ["357", "12", "100"], ["357", "13", "10"]),
        corpus("empty translations", ["", ""], ["a b c d e", "f"]),
        corpus("one empty", ["", "a b c d e"], ["x y z", "a b c d e"]),
        corpus("no 3-grams in common", ["a b x c d y e f"], ["a b c d e f"]),
        corpus("no 2-grams in common", ["a x b y c z d w"], ["a b c d e"]),
        corpus("shorter", [s[:len(s) // 2] for s in SENTENCES], SENTENCES),
        corpus("longer", [s + " and so on and on" for s in SENTENCES], SENTENCES),
        corpus("spaces", ["  a   b c d e \n"], ["a b  c d e"]),
    ]
    for rate in (0.1, 0.3, 0.6):
        corpora.append(corpus(f"broken by {rate}", [broken(s, rate, rng) for s in SENTENCES * 3], SENTENCES * 3))
    result = {"words": [{"text": t, "words": tokenizer(t.rstrip()).split()} for t in TEXTS], "corpora": corpora}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes ngram.json: log p of a held-out text by n-gram models with three smoothings, straight from their formulas.

Slow and plain on purpose: counts are dictionaries of tuples, each p(w | h) is the recursion of Chen & Goodman, An Empirical
Study of Smoothing Techniques for Language Modeling, TR-10-98, Harvard, 1998. Where the estimated discounts are not in (0, c],
those of KenLM's --discount_fallback: 0.5, 1, 1.5 (of the unmodified: 0.5).

text, held_out   tokens 0 ... vocabulary - 1, one of which the text does not have
cases            order, smoothing, discounts (of each length, for counts of 1, 2, 3 and more; Kneser-Ney only), log_prob of
                 held_out[1:], each given those before it

Run with Python at hand; the file is committed, so the tests need none.
"""

import collections
import json
import math
import pathlib
import random


def ngrams(text, length):
    return [tuple(text[i : i + length]) for i in range(len(text) - length + 1)]


def adjusted_counts(text, length, order, smoothing):
    """How often; for Kneser-Ney and all but the longest: after how many different tokens, the text's beginning among them."""
    if smoothing == "witten_bell" or length == order:
        return collections.Counter(ngrams(text, length))
    begun = ["<s>"] + list(text)
    return collections.Counter(gram[1:] for gram in set(ngrams(begun, length + 1)))


def discounts(counts, smoothing):
    n = collections.Counter(counts.values())
    valid = lambda d: all(0 < x <= c for c, x in zip((1, 2, 3), d))
    try:
        y = n[1] / (n[1] + 2 * n[2])
        if smoothing == "kneser_ney":
            d = (y, y, y)
        else:
            d = tuple(c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3))
        if valid(d):
            return d
    except ZeroDivisionError:
        pass
    return (0.5, 0.5, 0.5) if smoothing == "kneser_ney" else (0.5, 1.0, 1.5)


class Model:
    def __init__(self, text, vocabulary, order, smoothing):
        self.vocabulary, self.order, self.smoothing = vocabulary, order, smoothing
        self.counts = [adjusted_counts(text, k + 1, order, smoothing) for k in range(order)]
        self.discounts = [discounts(c, smoothing) for c in self.counts] if smoothing != "witten_bell" else []

    def p(self, word, context):
        k = len(context)
        counts = self.counts[k]
        after = {w: counts[context + (w,)] for w in range(self.vocabulary) if counts[context + (w,)] > 0}
        lower = self.p(word, context[1:]) if k > 0 else 1 / self.vocabulary
        if not after:
            return lower
        total = sum(after.values())
        if self.smoothing == "witten_bell":
            return (after.get(word, 0) + len(after) * lower) / (total + len(after))
        d = lambda c: self.discounts[k][min(c, 3) - 1] if c > 0 else 0
        c = after.get(word, 0)
        return (c - d(c) + sum(d(x) for x in after.values()) * lower) / total

    def log_prob(self, text):
        return [math.log(self.p(text[t], tuple(text[max(0, t - self.order + 1) : t]))) for t in range(1, len(text))]


def draw(rng, length, vocabulary):
    """A text in which some tokens follow others more often; its last token is rare, and not in the training text."""
    text = [0, 1]
    while len(text) < length:
        likely = (3 * text[-1] + text[-2] + 1) % (vocabulary - 1)
        text.append(likely if rng.random() < 0.6 else int((vocabulary - 1) * rng.random() ** 2))
    return text


vocabulary = 9
rng = random.Random(0)
text, held_out = draw(rng, 400, vocabulary), draw(rng, 60, vocabulary)
held_out[20] = held_out[40] = vocabulary - 1
assert vocabulary - 1 not in text
cases = []
for smoothing in ("witten_bell", "kneser_ney", "modified_kneser_ney"):
    for order in (1, 2, 3, 5):
        model = Model(text, vocabulary, order, smoothing)
        for h in ((), (0,), (8,), (0, 1), (3, 3, 3, 3)):
            assert abs(sum(model.p(w, h[-order + 1 :] if order > 1 else ()) for w in range(vocabulary)) - 1) < 1e-12
        cases.append(dict(order=order, smoothing=smoothing, discounts=model.discounts, log_prob=model.log_prob(held_out)))
        print(smoothing, order, [tuple(round(x, 3) for x in d) for d in model.discounts], -sum(cases[-1]["log_prob"]) / 59)
numbers = dict(vocabulary=vocabulary, text=text, held_out=held_out, cases=cases)
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(numbers, indent=None, separators=(",", ":")) + "\n")
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")

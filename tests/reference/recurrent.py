"""Writes recurrent*.safetensors and recurrent_seq2seq*.safetensors: torch.nn.LSTM and torch.nn.GRU, whose second biases
are zero and stay so, as language models and as encoder-decoders with attention or without.

    python tests/reference/recurrent.py
"""

import torch
from torch import nn
from torch.nn import functional as F

import fixture

VOCABULARY, END, BATCH = 9, 8, 4


class Stack(nn.Module):
    """nn.LSTM or nn.GRU with one bias a gate; parameters as its own, without bias_hh."""

    def __init__(self, cell, inputs, hidden, layers):
        super().__init__()
        self.cell, self.layers = cell, layers
        module = dict(lstm=nn.LSTM, gru=nn.GRU)[cell](inputs, hidden, layers, batch_first=True)
        self._module = [module]  # not a child
        for name, p in module.named_parameters():
            if name.startswith("bias_hh"):
                p.data.zero_().requires_grad_(False)
            else:
                self.register_parameter(name, p)

    def forward(self, x, state=None):
        return self._module[0](x, state)


class Recurrent(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, c["n_embd"])
        self.cells = Stack(c["cell"], c["n_embd"], c["hidden"], c["n_layer"])
        self.head = None if c["tie_weights"] else nn.Linear(c["hidden"], VOCABULARY, bias=False)

    def loss(self, x, y, generator):
        h, _ = self.cells(self.token_embedding(x))
        logits = h @ self.token_embedding.weight.T if self.head is None else self.head(h)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())


class Bahdanau(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(hidden, hidden)
        self.score = nn.Parameter(torch.randn(hidden))

    def forward(self, state, told):  # (H), (S, H)
        return torch.tanh(self.query(state) + self.key(told)) @ self.score


class Luong(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.key = nn.Linear(hidden, hidden, bias=False)

    def forward(self, state, told):
        return self.key(told) @ state


class Seq2Seq(nn.Module):
    """One pair at a time and without padding."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        inputs, hidden = c["n_embd"] or VOCABULARY, c["hidden"]
        feeds, attention = c["decoder_input"] == "previous", c["attention"]
        if c["n_embd"]:
            self.source_embedding = nn.Embedding(VOCABULARY, inputs)
            if feeds:
                self.target_embedding = nn.Embedding(VOCABULARY, inputs)
        self.encoder = Stack(c["cell"], inputs, hidden, c["n_layer"])
        decoder_inputs = (inputs if feeds else hidden) + (hidden if attention == "bahdanau" else 0)
        self.decoder = Stack(c["cell"], decoder_inputs, hidden, c["n_layer"])
        if attention != "none":
            self.attention = dict(bahdanau=Bahdanau, luong=Luong)[attention](hidden)
        if attention == "luong":
            self.combination = nn.Linear(2 * hidden, hidden, bias=False)
        self.head = nn.Linear(2 * hidden if attention == "bahdanau" else hidden, VOCABULARY)

    def enter(self, embedding, tokens):
        return getattr(self, embedding)(tokens) if self.c["n_embd"] else F.one_hot(tokens, VOCABULARY).float()

    def log_p(self, x, y):
        """Of each token of y given x and those before: x (S), y (T), both ended."""
        if self.c["reverse_source"]:
            x = torch.cat([x[:-1].flip(0), x[-1:]])
        told, state = self.encoder(self.enter("source_embedding", x)[None])
        told = told[0]
        top = state[0][-1] if isinstance(state, tuple) else state[-1]  # (1, H)
        if self.c["decoder_input"] == "state":
            h, _ = self.decoder(top.expand(1, len(y), -1))
            return self.head(h[0]).log_softmax(1).gather(1, y[:, None])
        inputs = self.enter("target_embedding", torch.cat([torch.tensor([END]), y[:-1]]))
        total = []
        for t in range(len(y)):
            read = inputs[None, t : t + 1]
            if self.c["attention"] == "bahdanau":
                seen = self.attention(top[0], told).softmax(0) @ told
                read = torch.cat([read, seen[None, None]], dim=2)
            h, state = self.decoder(read, state)
            top = h[0]
            if self.c["attention"] == "bahdanau":
                out = torch.cat([top[0], seen])
            elif self.c["attention"] == "luong":
                seen = self.attention(top[0], told).softmax(0) @ told
                out = torch.tanh(self.combination(torch.cat([seen, top[0]])))
            else:
                out = top[0]
            total.append(self.head(out).log_softmax(0)[y[t]][None])
        return torch.stack(total)

    def loss(self, x, y, generator):
        ended = lambda tokens: tokens[: tokens.tolist().index(END) + 1]
        return -torch.cat([self.log_p(ended(a), ended(b)) for a, b in zip(x, y)]).mean()


def texts(longest):
    """(BATCH, longest), each ended and filled up with END; the last is as long as can be."""
    tokens = torch.randint(END, (BATCH, longest))
    for row, length in zip(tokens, [1, longest // 2, longest - 2, longest - 1]):
        row[length:] = END
    return tokens


LANGUAGE = {
    "recurrent": dict(cell="lstm", n_layer=2, n_embd=16, hidden=16, tie_weights=True),
    "recurrent_gru": dict(cell="gru", n_layer=2, n_embd=6, hidden=16, tie_weights=False),
}
PAIRS = {
    "recurrent_seq2seq": dict(cell="lstm", n_layer=1, n_embd=0, attention="none", decoder_input="state",
                              reverse_source=False),
    "recurrent_seq2seq_gru": dict(cell="gru", n_layer=2, n_embd=6, attention="none", decoder_input="previous",
                                  reverse_source=True),
    "recurrent_seq2seq_bahdanau": dict(cell="gru", n_layer=1, n_embd=6, attention="bahdanau", decoder_input="previous",
                                       reverse_source=False),
    "recurrent_seq2seq_luong": dict(cell="lstm", n_layer=2, n_embd=0, attention="luong", decoder_input="previous",
                                    reverse_source=False),
}


def write(name, family, model, config, x, y, spec):
    optimizer = torch.optim.AdamW(fixture.decayed(model, 0.1), lr=1e-3, betas=(0.9, 0.99))
    tensors = fixture.trajectory(model, lambda step, g: model.loss(x, y, g), optimizer, clip_norm=1.0)
    settings = ", ".join(f"{k}: {str(v).lower()}" for k, v in config.items())
    fixture.write(name, tensors | {"x": x, "y": y}, model=f"{family}: {{{settings}}}",
                  spec=dict(vocabulary=VOCABULARY, token_unit="char") | spec,
                  optimizer="adamw: {lr: 0.001, beta1: 0.9, beta2: 0.99, weight_decay: 0.1}", clip_norm=1.0)


if __name__ == "__main__":
    for name, config in LANGUAGE.items():
        torch.manual_seed(0)
        text = torch.randint(VOCABULARY, (BATCH, 13))
        config = config | dict(block_size=12)
        write(name, "recurrent", Recurrent(config), config, text[:, :-1], text[:, 1:], dict(kind="tokens", shape=[]))
    for name, config in PAIRS.items():
        torch.manual_seed(0)
        x, y = texts(7), texts(6)
        config = config | dict(hidden=12)
        write(name, "recurrent_seq2seq", Seq2Seq(config), config, x, y,
              dict(kind="pairs", shape=[7, 6], end_token=END))

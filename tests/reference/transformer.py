"""Writes transformer*.safetensors: the transformer language model in plain PyTorch, from the papers.

Three variants, one for each kind of positions; between them they cover biases or none, tied and untied embeddings, and
dropout.

    python tests/reference/transformer.py
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

import fixture

VOCABULARY, BATCH = 13, 3


class Dropout:
    """Inverted dropout whose masks come from a given generator."""

    def __init__(self, p):
        self.p, self.generator = p, None

    def __call__(self, x):
        if self.p == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator) < 1 - self.p
        return torch.where(kept, x / (1 - self.p), torch.zeros(()))


def sinusoidal(context, channels):
    """Vaswani et al. (2017), section 3.5, entry by entry."""
    table = torch.empty(context, channels, dtype=torch.float64)
    for t in range(context):
        for c in range(channels):
            angle = t / 10000 ** (2 * (c // 2) / channels)
            table[t, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return table.float()


def rotary(x):
    """Su et al. (2021): channels i and i + D/2 of x (B, H, T, D) as one complex number, turned by its position."""
    T, D = x.shape[-2:]
    angle = torch.arange(T, dtype=torch.float64)[:, None] / 10000 ** (torch.arange(0, D, 2, dtype=torch.float64) / D)
    z = torch.complex(x[..., : D // 2], x[..., D // 2 :]) * torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
    return torch.cat([z.real, z.imag], dim=-1)


class Attention(nn.Module):
    def __init__(self, c, dropout):
        super().__init__()
        self.heads, self.rotary, self.dropout = c["n_head"], c["positions"] == "rotary", dropout
        self.qkv = nn.Linear(c["n_embd"], 3 * c["n_embd"], bias=c["bias"])
        self.projection = nn.Linear(c["n_embd"], c["n_embd"], bias=c["bias"])

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        if self.rotary:
            q, k = rotary(q), rotary(k)
        scores = torch.einsum("bhtd,bhsd->bhts", q, k) / q.shape[-1] ** 0.5
        scores = scores + torch.full(scores.shape[-2:], -torch.inf).triu(1)
        y = torch.einsum("bhts,bhsd->bhtd", self.dropout(scores.softmax(-1)), v)
        return self.dropout(self.projection(y.transpose(1, 2).flatten(2)))


class Block(nn.Module):
    def __init__(self, c, dropout):
        super().__init__()
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(c["n_embd"], bias=c["bias"])
        self.attention = Attention(c, dropout)
        self.mlp_norm = nn.LayerNorm(c["n_embd"], bias=c["bias"])
        self.mlp_in = nn.Linear(c["n_embd"], 4 * c["n_embd"], bias=c["bias"])
        self.mlp_out = nn.Linear(4 * c["n_embd"], c["n_embd"], bias=c["bias"])

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.dropout(self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x)), approximate="tanh")))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dropout = Dropout(c["dropout"])
        self.token_embedding = nn.Embedding(VOCABULARY, c["n_embd"])
        self.positions = c["positions"]
        if self.positions == "learned":
            self.position_embedding = nn.Embedding(c["block_size"], c["n_embd"])
        if self.positions == "sinusoidal":
            self.table = sinusoidal(c["block_size"], c["n_embd"])
        self.blocks = nn.ModuleList(Block(c, self.dropout) for _ in range(c["n_layer"]))
        self.final_norm = nn.LayerNorm(c["n_embd"], bias=c["bias"])
        self.head = None if c["tie_weights"] else nn.Linear(c["n_embd"], VOCABULARY, bias=False)

    def loss(self, x, y, generator):
        self.dropout.generator = generator
        h = self.token_embedding(x)
        if self.positions == "learned":
            h = h + self.position_embedding(torch.arange(x.shape[1]))
        if self.positions == "sinusoidal":
            h = h * h.shape[-1] ** 0.5 + self.table[: x.shape[1]]
        h = self.dropout(h)
        for block in self.blocks:
            h = block(h)
        h = self.final_norm(h)
        logits = h @ self.token_embedding.weight.T if self.head is None else self.head(h)
        return F.cross_entropy(logits.transpose(1, 2), y)


VARIANTS = {
    "transformer": dict(positions="learned", bias=True, dropout=0.0, tie_weights=True),
    "transformer_rotary": dict(positions="rotary", bias=False, dropout=0.2, tie_weights=False),
    "transformer_sinusoidal": dict(positions="sinusoidal", bias=False, dropout=0.0, tie_weights=True),
}


def write(name, variant):
    torch.manual_seed(0)
    config = dict(n_layer=2, n_head=2, n_embd=16, block_size=8) | variant
    model = Transformer(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))  # gains of 1 and biases of 0 would hide mistakes
    text = torch.randint(VOCABULARY, (BATCH, config["block_size"] + 1))
    x, y = text[:, :-1], text[:, 1:]
    optimizer = torch.optim.AdamW(fixture.decayed(model, 0.1), lr=1e-3, betas=(0.9, 0.99))
    tensors = fixture.trajectory(model, lambda step, g: model.loss(x, y, g), optimizer, clip_norm=1.0)
    settings = ", ".join(f"{k}: {str(v).lower()}" for k, v in config.items())
    fixture.write(name, tensors | {"x": x, "y": y}, model=f"transformer: {{{settings}}}",
                  spec=dict(kind="tokens", shape=[], vocabulary=VOCABULARY, token_unit="char"),
                  optimizer="adamw: {lr: 0.001, beta1: 0.9, beta2: 0.99, weight_decay: 0.1}", clip_norm=1.0)


if __name__ == "__main__":
    for name, variant in VARIANTS.items():
        write(name, variant)

"""Writes pixel_transformer*.safetensors: the transformer of images in plain PyTorch, from the papers.

Grey images without dropout, and color images (channels of a pixel side by side) with it. The blocks are those of
transformer.py.

    python tests/reference/pixel_transformer.py
"""

import torch
from torch import nn
from torch.nn import functional as F

import fixture
from transformer import Block, Dropout

BATCH = 3


class PixelTransformer(nn.Module):
    def __init__(self, c, shape, levels):
        super().__init__()
        self.shape, self.levels = shape, levels
        self.dropout = Dropout(c["dropout"])
        self.token_embedding = nn.Embedding(levels + 1, c["n_embd"])
        self.row_embedding = nn.Embedding(shape[1], c["n_embd"])
        self.column_embedding = nn.Embedding(shape[2], c["n_embd"])
        self.channel_embedding = nn.Embedding(shape[0], c["n_embd"]) if shape[0] > 1 else None
        block = c | dict(positions="learned", bias=True)
        self.blocks = nn.ModuleList(Block(block, self.dropout) for _ in range(c["n_layer"]))
        self.final_norm = nn.LayerNorm(c["n_embd"])
        self.head = nn.Linear(c["n_embd"], levels)

    def loss(self, x, generator):
        self.dropout.generator = generator
        K, H, W = self.shape
        # One value after the other: pixels row by row, and of each pixel its channels.
        order = [(k, r, c) for r in range(H) for c in range(W) for k in range(K)]
        values = torch.stack([x[:, k, r, c] for k, r, c in order], dim=1).long()
        tokens = torch.cat([torch.full((x.shape[0], 1), self.levels), values[:, :-1]], dim=1)
        h = self.token_embedding(tokens)
        h = h + torch.stack([self.row_embedding.weight[r] + self.column_embedding.weight[c] for _, r, c in order])
        if self.channel_embedding is not None:
            h = h + torch.stack([self.channel_embedding.weight[k] for k, _, _ in order])
        h = self.dropout(h)
        for block in self.blocks:
            h = block(h)
        log_p = F.log_softmax(self.head(self.final_norm(h)), dim=-1)  # (B, D, levels)
        return -log_p.gather(-1, values[..., None]).sum(dim=(1, 2)).mean()


VARIANTS = {
    "pixel_transformer": (dict(dropout=0.0), [1, 4, 5], 7),
    "pixel_transformer_color": (dict(dropout=0.2), [3, 3, 2], 16),
}


def write(name, variant, shape, levels):
    torch.manual_seed(0)
    config = dict(n_layer=2, n_head=2, n_embd=16) | variant
    model = PixelTransformer(config, shape, levels)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))  # gains of 1 and biases of 0 would hide mistakes
    x = torch.randint(levels, (BATCH, *shape), dtype=torch.uint8)
    # What is added to all keys alike has no gradient but rounding, which Adam would make steps of: eps is above it.
    optimizer = torch.optim.AdamW(fixture.decayed(model, 0.1), lr=1e-3, betas=(0.9, 0.99), eps=1e-4)
    tensors = fixture.trajectory(model, lambda step, g: model.loss(x, g), optimizer, clip_norm=10.0)
    settings = ", ".join(f"{k}: {v}" for k, v in config.items())
    fixture.write(name, tensors | {"x": x}, model=f"pixel_transformer: {{{settings}}}",
                  spec=dict(kind="images", shape=shape, levels=levels),
                  optimizer="adamw: {lr: 0.001, beta1: 0.9, beta2: 0.99, eps: 0.0001, weight_decay: 0.1}",
                  clip_norm=10.0)


if __name__ == "__main__":
    for name, (variant, shape, levels) in VARIANTS.items():
        write(name, variant, shape, levels)

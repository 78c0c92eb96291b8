"""Writes realnvp*.safetensors: RealNVP in plain PyTorch, from the paper.

Dinh et al. (2017), arXiv:1605.08803. Vectors and images of two and three scales, with activation and with
batch normalization. Couplings take what they change by indices here, not by masks.

    python tests/reference/realnvp.py
"""

import math

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F

import fixture


class ActNorm(nn.Module):
    """Kingma & Dhariwal (2018), section 3.1, its first batch's statistics kept apart from what is learned."""

    def __init__(self, event):
        super().__init__()
        size = [event[0]] + [1] * (len(event) - 1)
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("log_std", torch.zeros(size))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if not self.initialized:
            with torch.no_grad():
                channels = x.detach().transpose(0, 1).flatten(1)
                self.mean.copy_(channels.mean(1).view_as(self.mean))
                self.log_std.copy_((channels.var(1, correction=0) + 1e-5).sqrt().log().view_as(self.mean))
                self.initialized.fill_(1)
        scale = self.log_scale.exp() / self.log_std.exp()
        y = (x - self.mean) * scale + self.bias
        return y, torch.log(scale.expand(x.shape[1:])).sum()


class BatchNorm(nn.Module):
    """Section 3.7 and appendix E."""

    def __init__(self, event):
        super().__init__()
        size = [event[0]] + [1] * (len(event) - 1)
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))

    def forward(self, x):
        channels = x.transpose(0, 1).flatten(1)
        mean, variance = channels.mean(1), channels.var(1, correction=0)
        with torch.no_grad():
            self.running_mean.copy_(0.9 * self.running_mean + 0.1 * mean.view_as(self.running_mean))
            self.running_var.copy_(0.9 * self.running_var + 0.1 * variance.view_as(self.running_var))
        y = F.batch_norm(x, None, None, training=True, eps=1e-5)
        pixels = x[0].numel() // len(mean)
        return y, -0.5 * pixels * torch.log(variance + 1e-5).sum()


NORMALIZATION = {"actnorm": ActNorm, "batch_norm": BatchNorm}


class MLP(nn.Module):
    def __init__(self, dim, c):
        super().__init__()
        widths = [dim] + [c["hidden_dim"]] * c["blocks"] + [2 * dim]
        for i in range(len(widths) - 1):
            self.add_module(str(i), nn.Linear(widths[i], widths[i + 1]))

    def forward(self, x):
        first, *rest = self.children()
        x = first(x)
        for layer in rest:
            x = layer(F.relu(x))
        return x


class ResNet(nn.Module):
    def __init__(self, channels, c, fold):
        super().__init__()
        hidden = c["hidden_dim"]
        self.fold, self.blocks = fold, c["blocks"]
        self.input = nn.Conv2d(channels * fold**2, hidden, 3, padding=1)
        for i in range(self.blocks):
            self.add_module(f"block{i}_first", nn.Conv2d(hidden, hidden, 3, padding=1))
            self.add_module(f"block{i}_second", nn.Conv2d(hidden, hidden, 3, padding=1))
        self.output = nn.Conv2d(hidden, 2 * channels * fold**2, 1)

    def forward(self, x):
        h = self.input(F.pixel_unshuffle(x, self.fold))
        for i in range(self.blocks):
            first, second = getattr(self, f"block{i}_first"), getattr(self, f"block{i}_second")
            h = h + second(F.relu(first(F.relu(h))))
        return F.pixel_shuffle(self.output(F.relu(h)), self.fold)


class Coupling(nn.Module):
    """Eq. (4)-(6): x at `kept` passes through, x elsewhere is scaled and translated."""

    def __init__(self, event, kept, network):
        super().__init__()
        self.register_buffer("mask", kept.float())
        self.kept = kept.expand(event).flatten()
        self.log_scale_bound = nn.Parameter(torch.ones([event[0]] + [1] * (len(event) - 1)))
        self.network = network

    def forward(self, x):
        seen = x.flatten(1).clone()
        seen[:, ~self.kept] = 0
        raw_s, t = self.network(seen.view_as(x)).chunk(2, dim=1)
        s = (self.log_scale_bound * torch.tanh(raw_s)).flatten(1)[:, ~self.kept]
        y = x.flatten(1).clone()
        y[:, ~self.kept] = y[:, ~self.kept] * torch.exp(s) + t.flatten(1)[:, ~self.kept]
        return y.view_as(x), s.sum(1)


class Squeeze(nn.Module):
    """Figure 3."""

    def forward(self, x):
        corners = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return torch.cat(corners, dim=1), torch.zeros(len(x))


def checkerboard(event, flip):
    """Section 3.4: passes where the sum of the positions is odd."""
    if len(event) == 1:
        return torch.tensor([(i + flip) % 2 == 1 for i in range(event[0])])
    return torch.tensor([[(i + j + flip) % 2 == 1 for j in range(event[2])] for i in range(event[1])])


def channels(event, flip):
    first = torch.arange(event[0]) < event[0] // 2
    return (~first if flip else first).view(-1, 1, 1)


class RealNVP(nn.Module):
    """`event`: (D) with alternating masks, or (C, H, W) as in section 3.6."""

    def __init__(self, c, event):
        super().__init__()
        self.c, self.images, self.scales = c, len(event) == 3, c["scales"] if len(event) == 3 else 1
        if not self.images:
            self.scale0 = nn.Sequential(*self.couplings(event, c["couplings"], checkerboard))
            return
        for i in range(self.scales):
            if i + 1 == self.scales:
                layers = self.couplings(event, c["couplings"] + 1, checkerboard)
            else:
                layers = self.couplings(event, c["couplings"], checkerboard, fold=2) + [Squeeze()]
                event = (4 * event[0], event[1] // 2, event[2] // 2)
                layers += self.couplings(event, c["couplings"], channels)
                event = (event[0] // 2, *event[1:])
            self.add_module(f"scale{i}", nn.Sequential(*layers))

    def couplings(self, event, count, mask, fold=1):
        layers = []
        for i in range(count):
            if self.c["normalization"] in NORMALIZATION:
                layers.append(NORMALIZATION[self.c["normalization"]](event))
            network = ResNet(event[0], self.c, fold) if self.images else MLP(event[0], self.c)
            layers.append(Coupling(event, mask(event, i % 2), network))
        return layers

    def loss(self, x, generator):
        log_prob = torch.zeros(len(x))
        if self.images:
            alpha = self.c["alpha"]
            x = x + torch.rand(x.shape, generator=generator)
            p = alpha + (1 - 2 * alpha) * x / 256
            x = torch.logit(p)
            log_prob = (math.log((1 - 2 * alpha) / 256) - torch.log(p * (1 - p))).sum((1, 2, 3))
        for i in range(self.scales):
            for layer in getattr(self, f"scale{i}"):
                x, log_det = layer(x)
                log_prob = log_prob + log_det
            if i + 1 < self.scales:
                x, leaves = x.chunk(2, dim=1)
                log_prob = log_prob + Normal(0, 1).log_prob(leaves).flatten(1).sum(1)
        return -(log_prob + Normal(0, 1).log_prob(x).flatten(1).sum(1)).mean()


VARIANTS = {
    "realnvp": dict(event=(3,), couplings=3, scales=2, hidden_dim=8, blocks=2, normalization="actnorm", alpha=0.05),
    "realnvp_images": dict(event=(1, 4, 4), couplings=2, scales=2, hidden_dim=6, blocks=1, normalization="batch_norm",
                           alpha=0.01),
    "realnvp_color": dict(event=(3, 4, 4), couplings=1, scales=3, hidden_dim=4, blocks=1, normalization="actnorm",
                          alpha=0.05),
}

MODEL = ("realnvp: {{couplings: {couplings}, scales: {scales}, hidden_dim: {hidden_dim}, blocks: {blocks}, "
         "normalization: {normalization}, alpha: {alpha}}}")
BATCH, CLIP_NORM = 8, 20.0


def write(name, c):
    torch.manual_seed(0)
    event = c["event"]
    model = RealNVP(c, event)
    with torch.no_grad():  # nothing at the special values of a fresh flow
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    if model.images:
        x = torch.randint(256, (BATCH, *event), dtype=torch.uint8)
        spec = dict(kind="images", shape=list(event), levels=256)
    else:
        x = 1 + 2 * torch.randn(BATCH, *event)
        spec = dict(kind="vectors", shape=list(event))
    if c["normalization"] == "batch_norm":
        # A translation of what is then normalized has no gradient but rounding, which Adam would make steps of.
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        chosen = "sgd: {lr: 0.001, momentum: 0.9}"
    else:
        optimizer = torch.optim.AdamW(fixture.decayed(model, 0.1), lr=1e-3, betas=(0.9, 0.99))
        chosen = "adamw: {lr: 0.001, beta1: 0.9, beta2: 0.99, weight_decay: 0.1}"
    tensors = fixture.trajectory(model, lambda step, g: model.loss(x, g), optimizer, clip_norm=CLIP_NORM)
    fixture.write(name, tensors | {"x": x}, model=MODEL.format(**c), spec=spec,
                  optimizer=chosen, clip_norm=CLIP_NORM)


if __name__ == "__main__":
    for name, variant in VARIANTS.items():
        write(name, variant)

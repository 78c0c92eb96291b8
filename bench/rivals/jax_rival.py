"""A workload in JAX and Optax, measured: one line of JSON. The whole step is one compiled function, in float32.

    python jax_rival.py --workload vae_mlp

Parameters are nested lists and dictionaries of arrays; a loss is a function of them, a batch of integers, and a key.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

import jax
import optax
from jax import Array, nn, random
from jax import numpy as jnp

import data
import measure
from data import BATCH_SIZES, GPT_SIZES, GPTSize

Params = Any


@dataclass(frozen=True)
class Workload:
    initial: Callable[[Array], Params]              # of a key
    loss: Callable[[Params, Array, Array], Array]   # of parameters, batch and key
    draw: Callable[[Array, Array], Array]           # a batch: of data and key
    optimizer: optax.GradientTransformation
    data: data.Data


def draw_rows(batch: int) -> Callable[[Array, Array], Array]:
    return lambda table, key: table[random.randint(key, (batch,), 0, len(table))]


def initial_mlp(key: Array, *widths: int) -> Params:
    """PyTorch's default: weights and biases uniform within 1 / sqrt(inputs)."""
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        key, for_weight, for_bias = random.split(key, 3)
        most = 1 / math.sqrt(inputs)
        layers.append({"weight": random.uniform(for_weight, (inputs, outputs), minval=-most, maxval=most),
                       "bias": random.uniform(for_bias, (outputs,), minval=-most, maxval=most)})
    return layers


def mlp(layers: Params, x: Array) -> Array:
    *hidden, last = layers
    for layer in hidden:
        x = nn.relu(x @ layer["weight"] + layer["bias"])
    return x @ last["weight"] + last["bias"]


def vae_mlp() -> Workload:
    images = data.fashion_mnist()

    def initial(key: Array) -> Params:
        for_encoder, for_decoder = random.split(key)
        return {"encoder": initial_mlp(for_encoder, 784, 400, 2 * 20),
                "decoder": initial_mlp(for_decoder, 20, 400, 784)}

    def loss(params: Params, pixels: Array, key: Array) -> Array:
        x = pixels / 255.0
        mean, log_variance = jnp.split(mlp(params["encoder"], x), 2, axis=1)
        z = mean + jnp.exp(log_variance / 2) * random.normal(key, mean.shape)
        distortion = optax.sigmoid_binary_cross_entropy(mlp(params["decoder"], z), x).sum()
        rate = (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum() / 2
        return (distortion + rate) / len(x)

    flat = data.Data(images.values.reshape(-1, 784), images.description)
    return Workload(initial, loss, draw_rows(BATCH_SIZES["vae_mlp"]), optax.adam(1e-3), flat)


def realnvp(name: str, integers: data.Data, hidden: int, couplings: int, learning_rate: float,
            prepare: Callable[[Array, Array], tuple[Array, Array]]) -> Workload:
    """`prepare` makes real vectors of integers and uniform noise: (x, log-determinants)."""
    dims = integers.values.shape[1]

    def initial(key: Array) -> Params:
        return [initial_mlp(k, dims, hidden, hidden, 2 * dims) for k in random.split(key, couplings)]

    def loss(params: Params, rows: Array, key: Array) -> Array:
        z, log_det = prepare(rows, random.uniform(key, rows.shape))
        for i, layers in enumerate(params):
            kept = ((jnp.arange(dims) + i) % 2).astype(jnp.float32)
            log_scale, shift = jnp.split(mlp(layers, kept * z), 2, axis=1)
            log_scale = (1 - kept) * jnp.tanh(log_scale)
            z = z * jnp.exp(log_scale) + (1 - kept) * shift
            log_det = log_det + log_scale.sum(axis=1)
        log_prior = -(z**2 + math.log(2 * math.pi)).sum(axis=1) / 2
        return -(log_prior + log_det).mean()

    return Workload(initial, loss, draw_rows(BATCH_SIZES[name]), optax.adam(learning_rate), integers)


def realnvp_tab() -> Workload:
    def centered_bits(bits: Array, noise: Array) -> tuple[Array, Array]:
        return bits + noise - 1, jnp.zeros(len(bits))

    return realnvp("realnvp_tab", data.nltcs(), 128, 10, 1e-3, centered_bits)


def realnvp_784() -> Workload:
    def logits_of_pixels(pixels: Array, noise: Array, alpha: float = 1e-6) -> tuple[Array, Array]:
        scale = (1 - 2 * alpha) / 256
        p = alpha + scale * (pixels + noise)
        log_p, log_q = jnp.log(p), jnp.log1p(-p)
        return log_p - log_q, (math.log(scale) - log_p - log_q).sum(axis=1)

    images = data.fashion_mnist()
    flat = data.Data(images.values.reshape(-1, 784), images.description)
    return realnvp("realnvp_784", flat, 512, 8, 1e-4, logits_of_pixels)


def normalized(x: Array, weight: Array) -> Array:
    """Layer normalization without a bias."""
    centered = x - x.mean(axis=-1, keepdims=True)
    return weight * centered * jax.lax.rsqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-5)


def initial_gpt(size: GPTSize, key: Array) -> Params:
    def matrix(key: Array, inputs: int, outputs: int, deviation: float = 0.02) -> Array:
        return deviation * random.normal(key, (inputs, outputs))

    def block(key: Array) -> Params:
        width, residual, keys = size.width, 0.02 / math.sqrt(2 * size.layers), random.split(key, 4)
        return {"attention_norm": jnp.ones(width), "query_key_value": matrix(keys[0], width, 3 * width),
                "attention_out": matrix(keys[1], width, width, residual),
                "mlp_norm": jnp.ones(width), "mlp_in": matrix(keys[2], width, 4 * width),
                "mlp_out": matrix(keys[3], 4 * width, width, residual)}

    keys = random.split(key, 2 + size.layers)
    return {"token_embedding": matrix(keys[0], size.vocabulary, size.width),
            "position_embedding": matrix(keys[1], size.context, size.width),
            "blocks": [block(k) for k in keys[2:]], "norm": jnp.ones(size.width)}


def gpt(workload: str) -> Workload:
    size, batch = GPT_SIZES[workload], BATCH_SIZES[workload]

    def attention(x: Array, query_key_value: Array) -> Array:
        together = (x @ query_key_value).reshape(batch, size.context, 3, size.heads, -1)
        query, key, value = jnp.moveaxis(together, (2, 3), (0, 2))  # (batch, heads, context, width of a head)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        earlier = jnp.tri(size.context, dtype=bool)
        attended = nn.softmax(jnp.where(earlier, scores, -jnp.inf)) @ value
        return attended.swapaxes(1, 2).reshape(x.shape)

    def loss(params: Params, text: Array, key: Array) -> Array:
        x = params["token_embedding"][text[:, :-1]] + params["position_embedding"]
        for block in params["blocks"]:
            x = x + attention(normalized(x, block["attention_norm"]), block["query_key_value"]) @ block["attention_out"]
            x = x + nn.gelu(normalized(x, block["mlp_norm"]) @ block["mlp_in"], approximate=True) @ block["mlp_out"]
        logits = normalized(x, params["norm"]) @ params["token_embedding"].T
        return optax.softmax_cross_entropy_with_integer_labels(logits, text[:, 1:]).mean()

    def draw(text: Array, key: Array) -> Array:
        starts = random.randint(key, (batch, 1), 0, len(text) - size.context)
        return text[starts + jnp.arange(size.context + 1)]

    def matrices(params: Params) -> Params:
        return jax.tree.map(lambda parameter: parameter.ndim == 2, params)

    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(size.learning_rate, b1=0.9, b2=0.99, weight_decay=0.1, mask=matrices))
    return Workload(lambda key: initial_gpt(size, key), loss, draw, optimizer, data.tiny_shakespeare())


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "vae_mlp": vae_mlp,
    "realnvp_tab": realnvp_tab,
    "realnvp_784": realnvp_784,
    "gpt_char_cpu": lambda: gpt("gpt_char_cpu"),
    "gpt_char_384": lambda: gpt("gpt_char_384"),
}


class Trainer:
    def __init__(self, workload: Workload, seed: int):
        key = random.key(seed)
        self.data = jnp.asarray(workload.data.values)
        self.params = jax.jit(workload.initial)(key)
        self.state = workload.optimizer.init(self.params)
        self.steps = 0

        def update(params: Params, state: Any, table: Array, steps: int) -> tuple[Params, Any, Array]:
            for_batch, for_loss = random.split(random.fold_in(key, steps))
            batch = workload.draw(table, for_batch)
            loss, gradient = jax.value_and_grad(workload.loss)(params, batch, for_loss)
            changes, state = workload.optimizer.update(gradient, state, params)
            return optax.apply_updates(params, changes), state, loss

        self.update = jax.jit(update, donate_argnames=("params", "state"))

    def step(self) -> Array:
        self.params, self.state, loss = self.update(self.params, self.state, self.data, self.steps)
        self.steps += 1
        return loss


def main() -> None:
    options = measure.arguments(__doc__, list(WORKLOADS)).parse_args()
    measure.pin(options.threads)
    name = options.workload
    workload = WORKLOADS[name]()
    trainer = Trainer(workload, options.seed)
    result = measure.run(trainer.step, lambda loss: loss.item(), options)
    facts = {
        "workload": name, "peer": "jax", "mode": "jit", "dtype": "fp32", "threads": options.threads,
        "batch": BATCH_SIZES[name], "unit": "tokens/s" if name in GPT_SIZES else "samples/s",
        "params": sum(parameter.size for parameter in jax.tree.leaves(trainer.params)),
        "knobs": measure.allocator_knob(), "data": workload.data.description, "version": jax.__version__,
    }
    measure.print_line(facts, result, steps_per_call=1, items_per_step=data.items_per_step(name))


if __name__ == "__main__":
    main()

"""Whether training in bfloat16 learns as training in float32 does.

    python3 bench/precision.py vae_mlp gpt_char_cpu --steps 1000 --seeds 2 --svg curves.svg --markdown

Each workload of configs/bench/ is trained by genzoo for the same number of steps in both precisions from several seeds.
The loss at the end is the mean over the last tenth of the steps; the two precisions agree when their ranges over the
seeds, each widened by one percent, meet. (The seeds differ in batches and initial weights, so their range is the noise
that any training has.) The table goes to stdout, the curves to --svg, progress to stderr.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "bfloat16")
MARGIN = 0.01  # of the loss, beyond its range over the seeds
POINTS = 50    # of a curve

Curve = list[tuple[int, float]]  # (step, mean loss of the steps since the point before)


@dataclass
class Comparison:
    """The curves of a workload, one a seed in each precision."""
    workload: str
    curves: dict[str, list[Curve]] = field(default_factory=lambda: {p: [] for p in PRECISIONS})

    def ends(self, precision: str) -> list[float]:
        """The mean loss over the last tenth, one a seed."""
        return [statistics.fmean(loss for _, loss in curve[-max(1, len(curve) // 10):])
                for curve in self.curves[precision]]

    def agree(self) -> bool:
        (low, high), (other_low, other_high) = ((min(ends), max(ends)) for ends in map(self.ends, PRECISIONS))
        margin = MARGIN * max(map(abs, (low, high, other_low, other_high)))
        return low - margin <= other_high and other_low - margin <= high


def train(genzoo: Path, workload: str, precision: str, seed: int, steps: int) -> Curve:
    """Every step is logged, and the losses averaged between the points of the curve."""
    settings = {"train.steps": steps, "train.every.log": 1, "train.precision": precision, "seed": seed,
                "train.validate_examples": 16}  # few: validation is not looked at here
    with tempfile.TemporaryDirectory() as folder:
        command = [str(genzoo), "train", f"configs/bench/{workload}.yaml", "--run", f"{folder}/run", "--quiet",
                   *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")]]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"precision: {' '.join(command)}: {ended.stderr.strip() or ended.returncode}")
        lines = [json.loads(line) for line in (Path(folder) / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line.get("split") == "train"]
    ends = sorted({round(len(losses) * (i + 1) / POINTS) for i in range(POINTS)} - {0})
    return [(end, statistics.fmean(losses[begin:end])) for begin, end in zip([0, *ends], ends)]


def compare(genzoo: Path, workload: str, steps: int, seeds: int) -> Comparison:
    comparison = Comparison(workload)
    for seed in range(1, 1 + seeds):
        for precision in PRECISIONS:
            curve = train(genzoo, workload, precision, seed, steps)
            comparison.curves[precision].append(curve)
            print(f"{workload}, seed {seed}, {precision}: {curve[0][1]:.5g} -> {curve[-1][1]:.5g}", file=sys.stderr)
    return comparison


def table(comparisons: list[Comparison], markdown: bool) -> str:
    def numbers(values: list[float]) -> str:
        return ", ".join(f"{value:.5g}" for value in values)

    head = ("workload", "float32", "bfloat16", "difference of means", "within noise")
    rows = [head]
    for c in comparisons:
        means = [statistics.fmean(c.ends(precision)) for precision in PRECISIONS]
        rows.append((c.workload, *[numbers(c.ends(precision)) for precision in PRECISIONS],
                     f"{100 * (means[1] - means[0]) / max(abs(means[0]), 1e-9):+.2f} %", "yes" if c.agree() else "NO"))
    if markdown:
        rows.insert(1, ("---",) * len(head))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


# The picture: a panel a workload, two to a row; colours that differ in lightness too, readable on light and dark.

WIDTH, HEIGHT, GAP = 340, 200, 44
COLOURS = {"float32": "#2b7bba", "bfloat16": "#e08214"}


def panel(c: Comparison, left: float, top: float) -> str:
    points = [point for curves in c.curves.values() for curve in curves for point in curve]
    last, low, high = max(x for x, _ in points), min(y for _, y in points), max(y for _, y in points)
    # The first steps fall far; what matters is where the curves end.
    high = max(min(high, low + 4 * (statistics.median(y for _, y in points) - low)), low + 1e-9)

    def place(step: float, loss: float) -> str:
        y = top + HEIGHT * (1 - (min(loss, high) - low) / (high - low))
        return f"{left + WIDTH * step / last:.1f},{y:.1f}"

    lines = [f'<text x="{left}" y="{top - 8}" font-weight="bold">{c.workload}</text>',
             f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>',
             f'<text x="{left - 4}" y="{top + 10}" text-anchor="end">{high:.4g}</text>',
             f'<text x="{left - 4}" y="{top + HEIGHT}" text-anchor="end">{low:.4g}</text>',
             f'<text x="{left + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">{last} steps</text>']
    for precision, curves in c.curves.items():
        dash = "" if precision == "float32" else ' stroke-dasharray="5 3"'
        lines += [f'<polyline fill="none" stroke="{COLOURS[precision]}" stroke-width="1.4"{dash} points="'
                  + " ".join(place(*point) for point in curve) + '"/>' for curve in curves]
    return "\n".join(lines)


def picture(comparisons: list[Comparison]) -> str:
    rows = (len(comparisons) + 1) // 2
    width, height = 2 * (WIDTH + 80) + 20, rows * (HEIGHT + GAP) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             'font-size="11" fill="#777">']
    for i, (precision, colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{64 + 90 * i}" y="16" fill="{colour}" font-weight="bold">{precision}</text>')
    parts += [panel(c, 64 + (i % 2) * (WIDTH + 80), 48 + (i // 2) * (HEIGHT + GAP)) for i, c in enumerate(comparisons)]
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD", help="configs of configs/bench/, by name")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--genzoo", type=Path, default=ROOT / "build" / "genzoo", help="default: build/genzoo")
    parser.add_argument("--svg", type=Path, help="the curves as a picture")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    options = parser.parse_args()
    if options.steps < 10 or options.seeds < 1:
        parser.error("--steps must be at least 10, --seeds at least 1")
    comparisons = [compare(options.genzoo.resolve(), workload, options.steps, options.seeds)
                   for workload in options.workloads]
    print(table(comparisons, options.markdown))
    if options.svg:
        options.svg.write_text(picture(comparisons))


if __name__ == "__main__":
    main()

"""genzoo against the fastest of its rivals, workload by workload.

    python bench/versus.py vae_mlp gpt_char_cpu --out results.jsonl --rivals rivals.json --markdown

Search: every mode of the rivals (PyTorch eager, compiled, compiled with max-autotune; JAX) is tried with all knobs that
fit the workload, then the promising modes with knobs turned one at a time; the fastest is the rival. What fails, as
compiling where there is no compiler, is noted and skipped. --rivals FILE keeps the winners, and a later run skips the
search.

Duel: genzoo and the rival run in turn, each in a process of its own, on the same cores. A run in which other processes
used more than 4 % of the machine is repeated, at most twice. A ratio above 1 says how many times faster genzoo is: the
median over the rounds, least and most in parentheses.

Losses: both train for the same number of steps from several seeds, and their last losses should agree.

Progress goes to stderr, the table to stdout, every raw run to --out.
"""
from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

ROOT = Path(__file__).resolve().parent.parent
RIVALS = Path(__file__).resolve().parent / "rivals"

# Workloads, and after how many steps their losses are compared.
STEPS = {"vae_mlp": 300, "vae_conv": 100, "dcgan32": 20, "realnvp_tab": 200, "realnvp_784": 60, "gpt_char_cpu": 100,
         "gpt_char_384": 16, "gpt2_124m": 4, "decode": 0}
CONVOLUTIONAL = {"vae_conv", "dcgan32"}
IN_JAX = {"vae_mlp", "realnvp_tab", "realnvp_784", "gpt_char_cpu", "gpt_char_384"}

OTHERS_ALLOWED = 0.04   # of the machine, to other processes
REPEATS = 2             # of a run that others disturbed
PROMISING = 1.3         # a mode this many times slower than the fastest is not looked into further
RUN_OFF = 1.05          # those within this factor of the fastest are measured again, in turn
RUN_SECONDS = 600       # a program is given up after
LOSS_MARGIN = 0.05      # by how much losses may differ, beyond their spread over seeds


class RunFailed(Exception):
    """A program could not be run, its output not be read, or its work was another's."""


@dataclass(frozen=True)
class Genzoo:
    path: Path
    threads: int
    precision: str

    def __str__(self) -> str:
        return "genzoo"

    def bench(self, workload: str, seconds: float) -> list[str]:
        return [str(self.path), "bench", workload, "--json", "--seconds", str(seconds), "--threads", str(self.threads),
                "--precision", self.precision]

    def train(self, workload: str, steps: int, seed: int, run: Path) -> list[str]:
        settings = {"train.steps": steps, "train.every.log": steps, "train.precision": self.precision, "seed": seed,
                    "train.validate_examples": 16}  # few: validation is not looked at here
        command = [str(self.path), "train", f"configs/bench/{workload}.yaml", "--run", str(run), "--quiet", "--threads",
                   str(self.threads)]
        return command + [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    def environment(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Rival:
    python: str
    threads: int
    precision: str
    compiled: Path  # what torch.compile keeps
    mode: str       # eager, compile, max-autotune, jax
    knobs: frozenset[str]

    def __str__(self) -> str:
        return " + ".join(["jax" if self.mode == "jax" else f"torch {self.mode}", *sorted(self.knobs)])

    def bench(self, workload: str, seconds: float) -> list[str]:
        return [*self._command(workload), "--seconds", str(seconds)]

    def train(self, workload: str, steps: int, seed: int) -> list[str]:
        return [*self._command(workload), "--steps", str(steps), "--seed", str(seed)]

    def _command(self, workload: str) -> list[str]:
        program = "jax_rival.py" if self.mode == "jax" else "torch_rival.py"
        command = [self.python, str(RIVALS / program), "--workload", workload, "--threads", str(self.threads)]
        if self.mode == "jax":
            return command
        flags = [f"--{knob}" for knob in sorted(self.knobs - {"tcmalloc"})]
        return [*command, "--mode", self.mode, "--precision", self.precision, *flags]

    def environment(self) -> dict[str, str]:
        # Compilers that are children, not a pool of workers, are not taken for other processes.
        settings = {"TORCHINDUCTOR_CACHE_DIR": str(self.compiled), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        return settings | ({"LD_PRELOAD": tcmalloc()} if "tcmalloc" in self.knobs else {})


Program = Genzoo | Rival


def tcmalloc() -> str:
    """The library's name; empty: it is not installed."""
    return ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc") or ""


@dataclass
class Log:
    """Every run, a line of JSON each."""
    path: Path | None

    def write(self, **line: Any) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Running a program.

def machine_seconds() -> tuple[float, float]:
    """Busy and all seconds of all cores so far; proc(5): user, nice, system, idle, ..."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, *others = (int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in fields[:8])
    busy = user + nice + system
    return busy, busy + sum(others)


def run(command: list[str], environment: dict[str, str] | None = None) -> tuple[str, float]:
    """What a program prints, and the share of the machine that others used meanwhile."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        busy_before, all_before = machine_seconds()
        try:
            process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=ROOT, start_new_session=True,
                                       env=os.environ | (environment or {}))
        except OSError as error:
            raise RunFailed(str(error)) from None
        started = time.monotonic()
        alarm = threading.Timer(RUN_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)  # with that of the children it waited for
        except BaseException:  # Ctrl-C, which a process of another session does not get
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if time.monotonic() - started >= RUN_SECONDS:
            raise RunFailed(f"given up after {RUN_SECONDS} s")
        busy_after, all_after = machine_seconds()
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            said = errors.read().strip().splitlines() or [f"ended with status {process.returncode}"]
            raise RunFailed(said[-1])
        own = usage.ru_utime + usage.ru_stime
        return output.read(), max(0.0, busy_after - busy_before - own) / (all_after - all_before)


def measure(program: Program, workload: str, seconds: float, log: Log, **about: Any) -> dict[str, Any]:
    """The line a program prints of itself, from a run that others left alone; else from the quietest of three."""
    lines = []
    for attempt in range(1 + REPEATS):
        output, others = run(program.bench(workload, seconds), program.environment())
        try:
            line = json.loads(output.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise RunFailed(f"{program} printed no line of JSON") from None
        disturbed = others > OTHERS_ALLOWED
        line |= {"others_cpu": round(others, 4), "disturbed": disturbed}
        log.write(**about, attempt=attempt, program=str(program), **line)
        lines.append(line)
        if not disturbed:
            break
        say(f"  {program}: other processes used {100 * others:.1f} % of the machine")
    return min(lines, key=lambda line: line["others_cpu"])


def loss_after(program: Program, workload: str, steps: int, seed: int) -> float:
    """The loss of the last of so many steps."""
    if isinstance(program, Rival):
        output, _ = run(program.train(workload, steps, seed), program.environment())
        return json.loads(output.strip().splitlines()[-1])["loss_last"]
    with tempfile.TemporaryDirectory() as folder:
        folder_of_run = Path(folder) / workload
        run(program.train(workload, steps, seed, folder_of_run))
        lines = [json.loads(line) for line in (folder_of_run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line.get("split") == "train" and "loss" in line][-1]


# The search.

@dataclass
class Search:
    """The fastest rival of a workload, within `budget` seconds once the plainest one is known."""
    workload: str
    seconds: float
    budget: float
    plain: Rival  # eager, without knobs
    log: Log
    deadline: float = float("inf")
    times: dict[Rival, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def fastest(self) -> Rival:
        self.deadline = time.monotonic() + self.budget
        self.time(self.plain)
        modes = ["eager", *["jax"] * self._jax_has_it(), "compile", "max-autotune"]
        starts = [self.with_knobs(mode, self.knobs(mode)) for mode in modes]
        for rival in starts:
            self.time(rival)
        for rival in sorted(starts, key=self.known):
            if self.known(rival) <= PROMISING * min(self.times.values(), default=0.0):
                self.turn_knobs(rival)
        if not self.times:
            raise RunFailed(f"no rival runs: {'; '.join(sorted(set(self.failures.values())))}")
        return self.run_off()

    def _jax_has_it(self) -> bool:
        return self.workload in IN_JAX and self.plain.precision == "float32"

    def knobs(self, mode: str) -> frozenset[str]:
        """All that fit. XLA flushes denormals and chooses layouts by itself."""
        knobs = {"tcmalloc"} if tcmalloc() else set()
        if mode != "jax":
            knobs |= {"flush-denormal"} | ({"channels-last"} if self.workload in CONVOLUTIONAL else set())
        return frozenset(knobs)

    def with_knobs(self, mode: str, knobs: Iterable[str]) -> Rival:
        p = self.plain
        return Rival(p.python, p.threads, p.precision, p.compiled, mode, frozenset(knobs))

    def turn_knobs(self, rival: Rival) -> None:
        """One at a time; a turn that helps stays."""
        for knob in sorted(self.knobs(rival.mode)):
            turned = self.with_knobs(rival.mode, rival.knobs ^ {knob})
            self.time(turned)
            rival = min(rival, turned, key=self.known)

    def known(self, rival: Rival) -> float:
        return self.times.get(rival, float("inf"))

    def time(self, rival: Rival) -> None:
        if rival in self.times or str(rival) in self.failures:
            return
        if self.times and time.monotonic() > self.deadline:
            self.failures[str(rival)] = "not tried: the search's time was up"
            return
        try:
            line = measure(rival, self.workload, self.seconds / 2, self.log, phase="search")
            self.times[rival] = line["ms_per_step"]
            say(f"  {rival}: {line['ms_per_step']:.4g} ms")
        except RunFailed as failure:
            self.failures[str(rival)] = str(failure)
            self.log.write(phase="search", workload=self.workload, program=str(rival), failed=str(failure))
            say(f"  {rival}: skipped: {failure}")

    def run_off(self) -> Rival:
        best, *others = sorted(self.times, key=self.known)
        close = [rival for rival in others if self.known(rival) <= RUN_OFF * self.known(best)][:2]
        if not close:
            return best
        # In turn, since a machine that is shared may be slower for a minute than for the next.
        again: dict[Rival, list[float]] = {rival: [] for rival in [best, *close]}
        for _ in range(3):
            for rival, times in again.items():
                times.append(measure(rival, self.workload, self.seconds / 2, self.log, phase="run-off")["ms_per_step"])
        return min(again, key=lambda rival: statistics.median(again[rival]))


# The duel.

@dataclass
class Duel:
    """Genzoo's lines and the rival's, one of each a round; and losses after equal steps, one a seed."""
    workload: str
    rival: Rival
    rounds: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    losses: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    losses_missing: str = ""

    def medians(self, key: str) -> tuple[float | None, float | None]:
        return tuple(median_or_none(side) for side in zip(*[(ours[key], theirs[key]) for ours, theirs in self.rounds]))

    def ratios(self) -> list[float]:
        return [theirs["ms_per_step"] / ours["ms_per_step"] for ours, theirs in self.rounds]

    def disturbed(self) -> bool:
        return any(line["disturbed"] for round_ in self.rounds for line in round_)

    def losses_agree(self) -> bool:
        """Whether the ranges over the seeds meet, each widened by the margin."""
        (low, high), (other_low, other_high) = ((min(side), max(side)) for side in self.losses)
        margin = LOSS_MARGIN * max(map(abs, (low, high, other_low, other_high)))
        return low - margin <= other_high and other_low - margin <= high  # and false where one is NaN


def median_or_none(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.median(numbers) if numbers else None


def fight(workload: str, genzoo: Genzoo, rival: Rival, rounds: int, seconds: float, seeds: int, log: Log) -> Duel:
    duel, steps = Duel(workload, rival), STEPS[workload]
    for number in range(1, 1 + rounds):
        ours, theirs = (measure(program, workload, seconds, log, phase="duel", round=number)
                        for program in (genzoo, rival))
        if ours["params"] != theirs["params"]:
            raise RunFailed(f"genzoo has {ours['params']} parameters, the rival {theirs['params']}")
        duel.rounds.append((ours, theirs))
        say(f"  round {number}: genzoo {ours['ms_per_step']:.4g} ms, {rival} {theirs['ms_per_step']:.4g} ms")
    try:
        for seed in range(1, 1 + seeds) if steps else ():
            for program, losses in zip((genzoo, rival), duel.losses):
                losses.append(loss_after(program, workload, steps, seed))
                log.write(phase="losses", workload=workload, program=str(program), steps=steps, seed=seed,
                          loss=losses[-1])
    except RunFailed as failure:
        duel.losses_missing = str(failure)
        say(f"  losses not compared: {failure}")
    return duel


# The report.

COLUMNS = ("workload", "genzoo, ms", "rival, ms", "rival", "rival / genzoo", "loss first -> last, genzoo; rival",
           "loss after equal steps, genzoo; rival", "peak MB, genzoo; rival", "first step after s, genzoo; rival")


def pair(values: tuple[float | None, float | None], form: str) -> str:
    return "; ".join("-" if value is None else format(value, form) for value in values)


def row(duel: Duel) -> tuple[str, ...]:
    ours, theirs = duel.medians("ms_per_step")
    ratios = duel.ratios()
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    ratio += ", disturbed" * duel.disturbed()
    courses = [f"{first:.4g} -> {last:.4g}"
               for first, last in zip(duel.medians("loss_first"), duel.medians("loss_last"))
               if first is not None and last is not None]
    after = "-"
    if duel.losses_missing:
        after = "not compared"
    elif duel.losses[0]:
        medians = tuple(map(statistics.median, duel.losses))
        after = f"{STEPS[duel.workload]}: {pair(medians, '.4g')}, {'agree' if duel.losses_agree() else 'DIFFER'}"
    return (duel.workload, f"{ours:.4g}", f"{theirs:.4g}", str(duel.rival), ratio, "; ".join(courses) or "-", after,
            pair(duel.medians("peak_rss_mb"), ".0f"), pair(duel.medians("start_to_first_step_s"), ".2f"))


def table(rows: list[tuple[str, ...]], markdown: bool) -> str:
    if markdown:
        lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in [COLUMNS, *rows])


# The program.

def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(STEPS)}; without: all")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--genzoo", type=Path, default=ROOT / "build" / "genzoo", help="default: build/genzoo")
    parser.add_argument("--python", default=sys.executable, help="the rivals' interpreter; default: this one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="and cores; default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a run of the duel, half as many of a search's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="from which losses are compared; 0: they are not")
    parser.add_argument("--search-seconds", type=float, default=600.0, help="of a workload's search, at most about")
    parser.add_argument("--quick", action="store_true",
                        help="1 s, 1 round, 2 seeds, a short search: to see that it runs")
    parser.add_argument("--out", type=Path, help="every raw run is added to this file, a line of JSON each")
    parser.add_argument("--rivals", type=Path, metavar="FILE", help="where the searches' winners are kept")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--limits", action="store_true", help="first print what the machine can do at best")
    options = parser.parse_args()
    for name in options.workloads:
        if name not in STEPS:
            parser.error(f"no workload {name}; there are {', '.join(STEPS)}")
    if options.rounds < 1 or options.seconds <= 0 or options.threads < 1:
        parser.error("--rounds, --seconds and --threads must be positive")
    options.workloads = options.workloads or list(STEPS)
    if options.quick:
        options.seconds, options.rounds, options.search_seconds = 1.0, 1, 60.0
        options.seeds = min(options.seeds, 2)
    return options


def chosen_rival(workload: str, plain: Rival, options: argparse.Namespace, log: Log) -> Rival:
    """The one kept in the file, or else the fastest of a search, which is then kept there unless it was a quick one."""
    kept = json.loads(options.rivals.read_text()) if options.rivals and options.rivals.exists() else {}
    key = f"{workload}, {plain.precision}, {plain.threads} threads"
    search = Search(workload, options.seconds, options.search_seconds, plain, log)
    if key in kept and ("tcmalloc" not in kept[key]["knobs"] or tcmalloc()):
        return search.with_knobs(kept[key]["mode"], kept[key]["knobs"])
    rival = search.fastest()
    if options.rivals and not options.quick:
        kept[key] = {"mode": rival.mode, "knobs": sorted(rival.knobs),
                     "tried_ms": {str(tried): search.times[tried] for tried in sorted(search.times, key=search.known)},
                     "skipped": search.failures}
        options.rivals.write_text(json.dumps(kept, indent=1) + "\n")
    return rival


def main() -> None:
    options = read_options()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])  # the programs inherit it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no program is left running
    genzoo = Genzoo(options.genzoo.resolve(), options.threads, options.precision)
    log = Log(options.out)
    duels, failed = [], False
    try:
        if options.limits:
            print(run([str(genzoo.path), "bench", "limits", "--threads", str(options.threads)])[0], flush=True)
        with tempfile.TemporaryDirectory() as compiled:
            plain = Rival(options.python, options.threads, options.precision, Path(compiled), "eager", frozenset())
            for workload in options.workloads:
                say(workload)
                try:
                    rival = chosen_rival(workload, plain, options, log)
                    duels.append(fight(workload, genzoo, rival, options.rounds, options.seconds, options.seeds, log))
                except RunFailed as failure:
                    failed = True
                    say(f"versus: {workload}: {failure}")
    except RunFailed as failure:  # before the first workload
        raise SystemExit(f"versus: {failure}") from None
    except KeyboardInterrupt:
        failed = True
        say("versus: interrupted")
    if duels:
        print(table([row(duel) for duel in duels], options.markdown))
        if any(duel.disturbed() for duel in duels):
            print("\nDisturbed: other processes used more than 4 % of the machine in each of three runs.")
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""What the rivals share: arguments, windows of time, and the line of JSON. Needs the standard library alone."""
from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any, Callable

WINDOW_SECONDS = 2.0
WAIT_SECONDS = 0.05  # results are waited for no more often than this


def arguments(description: str, workloads: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True, choices=workloads)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time (default 10)")
    parser.add_argument("--steps", type=int, help="so many steps instead, not timed: loss_last is the last one's loss")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores allowed")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def pin(threads: int) -> None:
    """As many cores as threads. Threads that start later inherit them, and XLA starts one for each."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def seconds_since_start() -> float:
    """Since this process began, to a hundredth, with what passed before the interpreter was up."""
    after_name = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(after_name[19])  # proc(5): field 22, and the name is the second
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def run(step: Callable[[], Any], read: Callable[[Any], float], options: argparse.Namespace) -> dict[str, Any]:
    """Calls `step` for options.seconds, or options.steps times; `read` waits for its result and returns the loss."""
    loss_first = read(step())
    facts = {"start_to_first_step_s": round(seconds_since_start(), 2), "loss_first": loss_first}
    if options.steps:
        result = None
        for _ in range(options.steps - 1):
            result = step()
        return facts | {"loss_last": loss_first if result is None else read(result), "windows": []}
    return facts | _timed(step, read, options.seconds)


def _timed(step: Callable[[], Any], read: Callable[[Any], float], seconds: float) -> dict[str, Any]:
    warm_up_end = time.perf_counter() + min(WINDOW_SECONDS, seconds / 4)
    steps, one = 0, 0.0
    while steps < 3 or time.perf_counter() < warm_up_end:
        start = time.perf_counter()
        read(step())
        one = time.perf_counter() - start
        steps += 1
    steps_between_reads = max(1, int(WAIT_SECONDS / one))

    count = max(1, round(seconds / WINDOW_SECONDS))
    windows, loss = [], 0.0
    for _ in range(count):
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / count:
            for _ in range(steps_between_reads - 1):
                step()
            loss = read(step())
            steps += steps_between_reads
        windows.append((time.perf_counter() - start) / steps)
    return {"loss_last": loss, "windows": windows}


def print_line(facts: dict[str, Any], result: dict[str, Any], steps_per_call: int, items_per_step: int) -> None:
    """The line of JSON. `steps_per_call`: a call of decoding yields many tokens, and a token is what is timed."""
    times = sorted(1e3 * window / steps_per_call for window in result["windows"])
    median = statistics.median(times) if times else None
    known = facts | result | {
        "ms_per_step": median and round(median, 4),
        "ms_min": round(times[0], 4) if times else None,
        "ms_max": round(times[-1], 4) if times else None,
        "items_per_s": median and round(1e3 * items_per_step / median, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    keys = ("workload", "peer", "mode", "dtype", "threads", "batch", "ms_per_step", "ms_min", "ms_max", "items_per_s",
            "unit", "params", "start_to_first_step_s", "peak_rss_mb", "loss_first", "loss_last", "knobs", "data",
            "version")
    print(json.dumps({key: known[key] for key in keys}), flush=True)


def allocator_knob() -> list[str]:
    """The allocator is chosen from outside, with LD_PRELOAD."""
    return ["tcmalloc"] if "tcmalloc" in os.environ.get("LD_PRELOAD", "") else []

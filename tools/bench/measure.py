"""Measures code: seconds of several tasks in turn, their floating-point operations, the machine's matmul rate, memory.

The tasks of one comparison take turns (A B C A B C ...), so that other work on the machine hits all of them alike, and
the median is taken.
"""

import contextlib
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from tqdm import tqdm

from upt_clip.trainers.core.runs import report

Task = Callable[[], object]
Answer = TypeVar("Answer")
Key = TypeVar("Key")
MAPPED_GIB = 3  # of address space that torch's libraries take, and little of it is memory


@dataclass
class Timing:
    """Seconds of each repetition, CPU seconds (of all threads), and the floating-point operations of one repetition.

    A multiply-add is two operations. CPU seconds well below threads x seconds: the machine had other things to do.
    """

    seconds: list[float]
    cpu_seconds: list[float]
    flops: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def cpu(self) -> float:
        """Median of the CPU seconds."""
        return statistics.median(self.cpu_seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        at_least_two = self.seconds * 2 if len(self.seconds) == 1 else self.seconds
        low, _, high = statistics.quantiles(at_least_two, method="inclusive")
        return low, high

    @property
    def gflops(self) -> float:
        """10⁹ operations a second."""
        return self.flops / self.median / 1e9


class OutOfMemory(ValueError):
    """A process was ended, or found no more memory."""


class Apart:
    """A task in a process of its own, where `make(*arguments)` makes it; arguments and answers can be pickled.

    Use it as a context.

    Raises:
        OutOfMemory: the process was ended, or ran out of memory; and what `make` raises.
    """

    def __init__(self, threads: int, make: Callable[..., Task], *arguments: object):
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_answer, args=(there, threads, make, arguments), daemon=True)
        self.process.start()
        there.close()
        self.ask(bool)  # waits until it is made

    def ask(self, question: Callable[[Any], Answer]) -> Answer:
        """What question(task) returns there."""
        try:
            self.connection.send(question)
            answer = self.connection.recv()
        except (EOFError, OSError):
            answer = MemoryError()
        if isinstance(answer, MemoryError):
            raise OutOfMemory("the plain path needs more memory than there is: give --paths ours, or a smaller batch")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()
        self.process.join()


def _answer(connection, threads: int, make: Callable[..., Task], arguments: tuple) -> None:
    torch.set_num_threads(threads)
    try:
        task = make(*arguments)
        while True:
            connection.send(connection.recv()(task))
    except EOFError:  # nobody asks any more
        return
    except (MemoryError, RuntimeError, ValueError) as error:
        connection.send(MemoryError() if isinstance(error, RuntimeError) and "memory" in str(error) else error)


def ask(task: Task | Apart, question: Callable[[Any], Answer]) -> Answer:
    """question(task), asked where the task is."""
    return task.ask(question) if isinstance(task, Apart) else question(task)


def interleaved(tasks: Mapping[Key, Task | Apart], repeat: int, device: torch.device) -> dict[Key, Timing]:
    """Each task once to warm up and to count its operations, then all of them in turn, `repeat` times."""
    bar = tqdm(total=len(tasks) * (repeat + 1), desc="measuring", leave=False, disable=None)
    timings: dict[Key, Timing] = {}
    for name, task in tasks.items():
        timings[name] = Timing([], [], ask(task, count_flops))
        bar.update()
    for _ in range(repeat):
        for name, task in tasks.items():
            seconds, cpu_seconds = ask(task, partial(time_once, device=device))
            timings[name].seconds.append(seconds)
            timings[name].cpu_seconds.append(cpu_seconds)
            bar.update()
    bar.close()
    return timings


def time_once(task: Task, device: torch.device) -> tuple[float, float]:
    """Seconds, and CPU seconds of all threads."""
    _wait(device)
    start, cpu_start = time.perf_counter(), time.process_time()
    task()
    _wait(device)
    return time.perf_counter() - start, time.process_time() - cpu_start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_flops(task: Task) -> int:
    """Operations of matrix products, convolutions and attention in one run of `task`."""
    aten, attention = torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"
    known = {  # torch's own list has attention on GPUs alone, and no product in place; arguments are shapes
        aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1],
        getattr(aten, attention, None): lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
        getattr(aten, f"{attention}_backward", None): lambda g, q, k, v, *_, **__: sdpa_backward_flop_count(g, q, k, v),
    }
    known.pop(None, None)
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        task()
    return counter.get_total_flops()


def products(weights: list[tuple[int, torch.Tensor]]) -> Task:
    """A task that multiplies random rows by each weight (n, k); a pair is (number of rows, weight)."""
    sizes = {(n_rows, weight.shape[1]): weight for n_rows, weight in weights}
    rows = {size: torch.randn(*size, device=w.device).to(w.dtype) for size, w in sizes.items()}

    @torch.no_grad()
    def multiply() -> None:
        for n_rows, weight in weights:
            F.linear(rows[n_rows, weight.shape[1]], weight)

    return multiply


def peak_memory_mb(function: Callable, *arguments, limit_gib: float) -> float | None:
    """Peak memory (MiB) of a new process that runs `function(*arguments)`, or None if it needs more than the limit.

    `function` returns the device it has used; on a GPU it is that device's memory which is measured.
    """
    try:
        with Apart(torch.get_num_threads(), _limited, limit_gib, function, arguments) as process:
            return process.ask(methodcaller("__call__"))
    except OutOfMemory:
        return None


def _limited(limit_gib: float, function: Callable, arguments: tuple) -> Task:
    with contextlib.suppress(ImportError):  # Windows has no limit
        import resource

        limit = int((limit_gib + MAPPED_GIB) * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    device = function(*arguments)

    def peak() -> float:
        found = report.peak_memory_mb(device)
        if found is None:
            raise ValueError("the peak of memory cannot be read here: pip install psutil")
        return found

    return peak


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers depend on: processor, cores, threads, versions, and how busy the machine is."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else "unknown", **report.versions(),
    }  # fmt: skip

"""The works of upt-clip bench: each takes the command line's options and returns what JSON can hold."""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from pathlib import Path

import torch
from torch import Tensor

from upt_clip import trainers
from upt_clip.tools.bench.measure import Apart, Task, Timing, ask, interleaved, peak_memory_mb, products
from upt_clip.tools.bench.paths import Network, Paths, anew, emoji_trainer, one_epoch, test_logits, whole_test
from upt_clip.trainers.core.clip.precision import choose_device
from upt_clip.trainers.core.training.memory import keep_freed_memory

# isort: split
from dassl.engine import TrainerX

SQUARE = 2048  # side of the matrices whose product gives the machine's rate
SAMPLE = 4  # images on which the two paths' logits are compared
VALUES = {"classes": [25, 50, 75, 100], "batch": [4, 8, 12, 16], "prompts": [2, 4, 8, 16]}
Key = tuple[str, str]  # of a task: its name and its precision


@dataclass
class Work:
    """A path's task, its precision, and logits (B, C) that show what the task has led to."""

    run: Task
    precision: str
    logits: Callable[[], Tensor] | None = None

    def __call__(self) -> None:
        self.run()


def steps(args: argparse.Namespace) -> dict:
    """Training steps."""
    return _timed(args, Paths.training_step, _parts)


def evaluation(args: argparse.Namespace) -> dict:
    """Test batches; ours with the class features at hand, which an evaluation computes once."""

    def more(paths: Paths) -> dict[str, Task]:
        encode = paths.class_features()
        return ({"class features, once": encode} if encode else {}) | _parts(paths)

    return _timed(args, Paths.inference, more)


def _parts(paths: Paths) -> dict[str, Task]:
    """Our image tower, and how fast the machine is at matrix products: at the tower's own and at large square ones."""
    square = torch.randn(SQUARE, SQUARE, dtype=paths.dtype, device=paths.device)
    parts = {"matmul": products([(SQUARE, square)])}
    if paths.ours.image_tower.is_vit:
        parts |= {"image tower": paths.image_tower, "its matrix products": paths.image_tower_products()}
    return parts


def _timed(args: argparse.Namespace, task_of: Callable[[Paths, Network], Task], more: Callable | None = None) -> dict:
    """Rows for the task of both paths, and for the tasks that `more(paths)` adds at each precision."""
    with ExitStack() as stack:
        works: dict[Key, Task | Apart] = {}
        made: dict[str, Paths] = {}
        for name, asked in _wanted(args):
            paths = made[asked] = made.get(asked) or Paths(args, asked)
            if name == "plain":
                works[name, paths.precision] = stack.enter_context(Apart(args.threads, _plain_work, args, task_of))
            else:
                keep_freed_memory(paths.device)  # as in training
                works[name, paths.precision] = _work(paths, paths.ours, task_of)
        logits = {names: ask(work, methodcaller("logits")) for names, work in works.items()}
        added = {(name, p.precision): t for p in made.values() for name, t in (more(p) if more else {}).items()}
        timings = interleaved(works | added, args.repeat, choose_device(args.device, use_cuda=True))
    return {"rows": _rows(timings), **_agreement(logits)}


def _plain_work(args: argparse.Namespace, task_of: Callable[[Paths, Network], Task]) -> Work:
    paths = Paths(args, args.plain_precision)
    return _work(paths, paths.plain, task_of)


def _work(paths: Paths, model: Network, task_of: Callable[[Paths, Network], Task]) -> Work:
    infer = paths.inference(model, SAMPLE)
    return Work(task_of(paths, model), paths.precision, lambda: infer().float().cpu())


def _wanted(args: argparse.Namespace) -> list[Key]:
    """Paths and the precisions that were asked for them."""
    both = [("plain", args.plain_precision), *(("ours", precision) for precision in args.precision)]
    return [(name, precision) for name, precision in both if name in args.paths]


def _rows(timings: dict[Key, Timing]) -> list[dict]:
    """A row for each task; ratios to the plain path, and shares of the matmul rate at the same precision.

    Ratios are of seconds and of CPU seconds, which say more while the machine does other work, too.
    """
    plain = next((t for (name, _), t in timings.items() if name == "plain"), None)
    rows = []
    for (name, precision), t in timings.items():
        rate = timings.get(("matmul", precision))
        own = timings.get(("its matrix products", precision)) if name == "image tower" else None
        beside = plain if name.split(",")[0] in ("plain", "ours") else None
        rows.append({
            "task": name, "precision": precision,
            "median_s": t.median, "quartiles_s": t.quartiles, "cpu_s": t.cpu,
            "times_as_fast": beside.median / t.median if beside else None,
            "by_cpu": beside.cpu / t.cpu if beside else None,
            "gflop": t.flops / 1e9, "gflops": t.gflops,
            "of_matmul_rate": t.gflops / rate.gflops if rate else None,
            "of_own_products": t.gflops / own.gflops if own else None,
        })  # fmt: skip
    return rows


def _agreement(logits: dict[Key, Tensor]) -> dict:
    """The largest difference of our logits to the plain path's, and the spread of these."""
    plain = next((values for (name, _), values in logits.items() if name == "plain"), None)
    if plain is None:
        return {}
    ours = {precision: values for (name, precision), values in logits.items() if name == "ours"}
    differences = {precision: float((values - plain).abs().max()) for precision, values in ours.items()}
    return {"max_logit_difference": differences, "logit_spread": float(plain.max() - plain.min())}


def epoch(args: argparse.Namespace) -> dict:
    """A few-shot epoch on `Emoji`: loader, steps, Dassl's loop and what it writes."""
    with ExitStack() as stack:
        works = _on_emoji(args, stack, _epoch)
        timings = interleaved(works, args.repeat, choose_device(args.device, use_cuda=True))
        logits = {names: ask(work, methodcaller("logits")) for names, work in works.items()}
        return {"rows": _rows(timings), **_agreement(logits)}


def _epoch(trainer: TrainerX) -> Work:
    return Work(one_epoch(trainer), trainer.precision.name, lambda: test_logits(trainer).cpu())


def retest(args: argparse.Namespace) -> dict:
    """A whole test on `Emoji`: of the plain path, of ours for the first time, and of ours on the same pictures again.

    Raises:
        ValueError: the method prompts the image tower, so that nothing can be kept.
    """
    with ExitStack() as stack:
        tasks: dict[Key, Task | Apart] = {}
        for (name, precision), work in _on_emoji(args, stack, _whole_test).items():
            if isinstance(work, Work):  # ours, in this process
                tasks |= {("ours, first", precision): anew(work), ("ours, again", precision): work}
            else:
                tasks[name, precision] = work
        return {"rows": _rows(interleaved(tasks, args.repeat, choose_device(args.device, use_cuda=True)))}


def _whole_test(trainer: TrainerX) -> Work:
    if not getattr(trainer, "features_are_plain", True):
        name = trainer.cfg.TRAINER.NAME
        raise ValueError(f"{name} prompts the image tower: choose --trainer CoOp, CoCoOp or ZeroshotCLIP")
    return Work(whole_test(trainer), trainer.precision.name)


def _on_emoji(args: argparse.Namespace, stack: ExitStack, work: Callable[[TrainerX], Work]) -> dict[Key, Work | Apart]:
    """`work(trainer)` of the paths that were asked for, the plain one in a process of its own, until `stack` ends."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    ours: dict[Key, Work | Apart] = {}
    plain: dict[Key, Work | Apart] = {}
    if "ours" in args.paths:
        trainer = emoji_trainer(args, folder, "ours", args.precision[0])
        stack.callback(trainer.close_writer)
        ours["ours", trainer.precision.name] = work(trainer)
    if "plain" in args.paths:
        there = stack.enter_context(Apart(args.threads, _plain_on_emoji, args, folder, work))
        plain["plain", ask(there, attrgetter("precision"))] = there
    return plain | ours


def _plain_on_emoji(args: argparse.Namespace, folder: Path, work: Callable[[TrainerX], Work]) -> Work:
    return work(emoji_trainer(args, folder, "plain", args.plain_precision))


def memory(args: argparse.Namespace) -> dict:
    """Peak memory of a process that does one training step, each path in a process of its own."""
    found: list[dict] = []
    for name, precision in _wanted(args):
        peak = peak_memory_mb(_one_step, args, name, precision, limit_gib=args.memory_limit)
        found.append({"task": name, "precision": precision, "peak_gib": peak and peak / 1024})
    peaks = {row["task"]: row["peak_gib"] for row in found}
    for row in found:
        row["of_plain"] = row["peak_gib"] / peaks["plain"] if row["peak_gib"] and peaks.get("plain") else None
    return {"rows": found, "limit_gib": args.memory_limit}


def _one_step(args: argparse.Namespace, name: str, precision: str) -> torch.device:
    paths = Paths(args, precision)
    if name == "ours":
        keep_freed_memory(paths.device)
    paths.training_step(getattr(paths, name))()
    return paths.device


def sweep(args: argparse.Namespace) -> dict:
    """A training step's cost against the numbers of classes, images and prompts."""
    from upt_clip.tools.bench.cost_plot import fit, plot  # matplotlib is an extra

    lines = {axis: _line(args, axis) for axis in args.over}
    rows = []
    for axis, found in lines.items():
        for name, (values, seconds) in found.items():
            slope, intercept, r2 = fit(values, seconds)
            points = dict(zip(values, seconds, strict=True))
            rows.append({"over": axis, "task": name, "s_each": slope, "s_at_0": intercept, "r2": r2, "points": points})
    if args.plot:
        plot(lines, f"{args.trainer}, {args.backbone}, {args.threads} threads", Path(args.plot))
    return {"rows": rows}


def _line(args: argparse.Namespace, axis: str) -> dict[str, tuple[list[int], list[float]]]:
    """For each path the values along an axis and its seconds there."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for value in args.values or VALUES[axis]:
        for row in _timed(_with(args, axis, value), Paths.training_step)["rows"]:
            values, seconds = found.setdefault(f"{row['task']} {row['precision']}", ([], []))
            values.append(value)
            seconds.append(row["median_s"])
    return found


def _with(args: argparse.Namespace, axis: str, value: int) -> argparse.Namespace:
    changed = {"classes": {"n_classes": value}, "batch": {"batch_size": value}}.get(axis)
    if changed is None:
        method = next(m for m in trainers.METHODS if m.__name__ == args.trainer)
        keys = [f"TRAINER.{args.trainer.upper()}.{key}" for key in method.DEFAULTS if key.startswith("N_CTX")]
        changed = {"opts": [item for key in keys for item in (key, str(value))] + args.opts}
    return argparse.Namespace(**vars(args) | changed)


WORKS = {work.__name__: work for work in (steps, evaluation, epoch, retest, memory, sweep)}

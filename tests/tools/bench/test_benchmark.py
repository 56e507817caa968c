"""The benchmark's two paths agree, and each of its works runs and says how they compare. No time is asserted."""

import itertools
import json
import os
import signal

import numpy as np
import pytest
import torch

from upt_clip.tools.bench import benchmark, cost_plot, measure, random_clip
from upt_clip.tools.bench.paths import Paths
from upt_clip.tools.bench.plain_clip import PlainTrainer


@pytest.fixture
def bench(tiny_clip_file, capsys):
    """bench("steps", "--trainer", "VPT") -> what JSON says, on a tiny random CLIP."""

    def call(work: str, *options: object) -> dict:
        small = [
            "--backbone",
            tiny_clip_file,
            "--n-classes",
            "5",
            "--batch-size",
            "4",
            "--repeat",
            "2",
            "--threads",
            "1",
        ]
        assert benchmark.main([*map(str, [work, *small, *options]), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


class Here:
    """Stands for `measure.Apart` without a process, whose start takes seconds."""

    def __init__(self, threads: int, make, *arguments):
        self.task = make(*arguments)

    def __call__(self):
        return self.task()

    def __getattr__(self, name: str):
        return getattr(self.task, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(autouse=True)
def small_and_here(monkeypatch):
    monkeypatch.setattr("upt_clip.tools.bench.works.SQUARE", 64)
    monkeypatch.setattr("upt_clip.tools.bench.works.Apart", Here)


def arguments(tiny_clip_file, trainer: str, *opts: str):
    args = benchmark.parse_args(["steps", "--trainer", trainer, "--n-classes", "7", "--batch-size", "3"])
    args.opts, args.checkpoint, args.side = list(opts), tiny_clip_file, 32
    return args


@pytest.mark.parametrize(
    ("trainer", "opts"),
    [
        ("UPT", ["TRAINER.UPT.DEPTH_TEXT", "2", "TRAINER.UPT.DEPTH_VISION", "3"]),
        ("UPT", ["TRAINER.UPT.CLASS_TOKEN_POSITION", "front"]),
        ("CoOp", ["TRAINER.COOP.CLASS_TOKEN_POSITION", "middle"]),
        ("CoOp", ["TRAINER.COOP.CSC", "True"]),
        ("CoCoOp", []),
        ("VPT", ["TRAINER.VPT.DEPTH_VISION", "2"]),
    ],
)
def test_both_paths_have_the_same_logits_and_gradients(tiny_clip_file, trainer, opts):
    paths = Paths(arguments(tiny_clip_file, trainer, *opts), "fp32")
    found = []
    for model in (paths.ours, paths.plain):
        logits = paths.inference(model)()
        torch.manual_seed(0)  # for UPT's dropout
        model.learner.train().requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(paths.images), paths.labels)
        found.append((logits, torch.autograd.grad(loss, list(model.learner.parameters()))))
    assert found[1][0].std(dim=1).min() > 0.1  # the classes differ at all
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-4, rtol=1e-5)
    for ours, plain in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4 * plain.abs().max().item(), rtol=1e-4)


def test_zero_shot_paths_agree(bench):
    result = bench("evaluation", "--trainer", "ZeroshotCLIP")
    assert result["max_logit_difference"]["fp32"] < 1e-4 < result["logit_spread"]


def test_steps_and_evaluation_compare_with_the_plain_path_and_the_matmul_rate(bench):
    for work in ("steps", "evaluation"):
        result = bench(work)
        rows = {row["task"]: row for row in result["rows"]}
        assert rows["plain"]["times_as_fast"] == 1
        assert rows["ours"]["times_as_fast"] == pytest.approx(rows["plain"]["median_s"] / rows["ours"]["median_s"])
        assert rows["ours"]["gflop"] < rows["plain"]["gflop"]
        assert rows["image tower"]["of_own_products"] > 0 and rows["matmul"]["of_matmul_rate"] == 1
        assert result["max_logit_difference"]["fp32"] < 1e-4 < result["logit_spread"]
        assert ("class features, once" in rows) == (work == "evaluation")


@pytest.mark.parametrize("work", ["steps", "epoch"])
def test_the_plain_path_has_a_process_of_its_own(bench, monkeypatch, work):
    monkeypatch.setattr("upt_clip.tools.bench.works.Apart", measure.Apart)
    small = ["--set", "DATASET.NUM_SHOTS", 1] if work == "epoch" else []
    result = bench(work, *small)
    rows = {row["task"]: row for row in result["rows"]}
    assert rows["plain"]["median_s"] > 0 < rows["plain"]["cpu_s"]
    assert rows["plain"]["gflop"] > rows["ours"]["gflop"] > 0
    assert result["max_logit_difference"]["fp32"] < 1e-2 * result["logit_spread"]


def test_errors_of_a_process_of_its_own():
    with pytest.raises(ValueError, match="no such thing"):
        measure.Apart(1, fails)
    with measure.Apart(1, make_counter) as counter:
        assert [counter.ask(call), counter.ask(call)] == [1, 2]  # one task, asked twice
        with pytest.raises(ValueError, match="the plain path needs more memory"):
            counter.ask(killed)


def call(task):
    return task()


def make_counter():
    return itertools.count(1).__next__


def killed(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_class_features_are_taken_once_in_our_evaluation(bench):
    rows = {row["task"]: row for row in bench("evaluation")["rows"]}
    assert rows["ours"]["gflop"] == pytest.approx(rows["image tower"]["gflop"], rel=0.01)
    assert rows["class features, once"]["gflop"] > 0


def test_epoch_trains_both_loops_to_the_same_prompts(bench):
    result = bench("epoch", "--batch-size", 16, "--set", "DATASET.NUM_SHOTS", 1)
    rows = {row["task"]: row for row in result["rows"]}
    assert set(rows) == {"plain", "ours"} and rows["ours"]["times_as_fast"] > 0
    assert result["max_logit_difference"]["fp32"] < 1e-2 * result["logit_spread"]


def test_a_second_test_needs_no_image_tower(bench):
    small = ["--set", "DATASET.NUM_SHOTS", 1, "DATASET.SUBSAMPLE_CLASSES", "new"]
    rows = {row["task"]: row for row in bench("retest", "--trainer", "CoOp", *small)["rows"]}
    assert rows["ours, again"]["gflop"] < 0.1 * rows["ours, first"]["gflop"] < 0.1 * rows["plain"]["gflop"]
    assert all(row["times_as_fast"] for row in rows.values())
    with pytest.raises(ValueError, match="UPT prompts the image tower"):
        bench("retest", *small)


def test_memory_of_a_step_in_a_process_of_its_own(bench):
    rows = bench("memory")["rows"]
    assert [row["task"] for row in rows] == ["plain", "ours"] and all(0.1 < row["peak_gib"] < 4 for row in rows)
    assert rows[1]["of_plain"] == pytest.approx(rows[1]["peak_gib"] / rows[0]["peak_gib"])


def takes(n_bytes: int) -> torch.device:
    torch.empty(n_bytes, dtype=torch.uint8)
    return torch.device("cpu")


def fails() -> None:
    raise ValueError("no such thing")


def test_a_process_that_needs_too_much_memory_ends_without_harm():
    assert measure.peak_memory_mb(takes, 64 * 2**30, limit_gib=4) is None
    with pytest.raises(ValueError, match="no such thing"):
        measure.peak_memory_mb(fails, limit_gib=4)


def test_sweep_fits_lines_and_draws_them(bench, tmp_path):
    picture = tmp_path / "cost.svg"
    rows = bench("sweep", "--over", "classes", "prompts", "--values", 2, 4, 6, "--plot", picture)["rows"]
    assert [(row["over"], row["task"]) for row in rows] == [
        (axis, f"{path} fp32") for axis in ("classes", "prompts") for path in ("plain", "ours")
    ]
    assert all(list(row["points"]) == ["2", "4", "6"] for row in rows)
    assert "ms each" in picture.read_text()


def test_fit_is_the_least_squares_line():
    x = np.array([1.0, 2.0, 5.0])
    assert cost_plot.fit(x, 3 * x + 2) == pytest.approx((3, 2, 1))


def test_operations_are_counted_forward_and_backward():
    x, w = torch.randn(5, 7), torch.randn(7, 3, requires_grad=True)
    assert measure.count_flops(lambda: x @ w) == 2 * 5 * 7 * 3
    assert measure.count_flops(lambda: (x @ w).sum().backward()) == 2 * 2 * 5 * 7 * 3
    q = torch.randn(1, 2, 5, 8)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert measure.count_flops(lambda: attention(q, q, q)) == 2 * 2 * 2 * 5 * 5 * 8


def test_table_for_people(tiny_clip_file, capsys):
    assert benchmark.main(["steps", "--backbone", tiny_clip_file, "--n-classes", "3", "--batch-size", "2"]) == 0
    out = capsys.readouterr().out
    assert "times as fast" in out and "ours in fp32 and plain differ by at most" in out and " %" in out


def test_random_backbones_and_class_names(tmp_path):
    names = random_clip.class_names(1000)
    assert len(set(names)) == 1000 and {len(name.split()) for name in names} == {1, 2, 3}
    assert random_clip.checkpoint("pocket", tmp_path) == "pocket" and random_clip.image_side("ViT-L/14@336px") == 336


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["steps", "--trainer", "LinearProbe"], "choose one of ZeroshotCLIP, CoOp"),
        (["steps", "--n-classes", "0"], "--n-classes is 0, choose 1 or more"),
        (["steps", "--trainer", "ZeroshotCLIP", "--backbone", "pocket"], "learns nothing"),
    ],
)
def test_errors_name_the_fix(options, message):
    with pytest.raises(ValueError, match=message):
        benchmark.main(options)


def test_the_plain_loop_is_dassls_own():
    from dassl.engine import TrainerX

    assert PlainTrainer.run_epoch is TrainerX.run_epoch and PlainTrainer.test is TrainerX.test

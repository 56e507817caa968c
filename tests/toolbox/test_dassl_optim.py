import math

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.optim import build_lr_scheduler, build_optimizer

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")


def make(lr=0.002, epochs=6, schedule="cosine", **keys):
    optim = get_cfg_default().OPTIM
    optim.NAME, optim.LR, optim.MAX_EPOCH, optim.LR_SCHEDULER = "sgd", lr, epochs, schedule
    for key, value in keys.items():
        optim[key] = value
    return optim


def constant_warmup(epochs=1, **keys):
    return {"WARMUP_EPOCH": epochs, "WARMUP_TYPE": "constant", **keys}


def rates(optim, n=None):
    """The rate of each epoch, and the scheduler after them."""
    optimizer = build_optimizer(torch.nn.Linear(2, 2), optim)
    scheduler = build_lr_scheduler(optimizer, optim)
    lrs = []
    for _ in range(n or optim.MAX_EPOCH):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        (make(**constant_warmup()), [1e-5, 2e-3, 1.866025e-3, 1.5e-3, 1e-3, 5e-4]),
        (make(WARMUP_EPOCH=3), [1e-5, 6.6667e-4, 1.33333e-3, 2e-3, 1.866025e-3, 1.5e-3]),
        (
            make(**constant_warmup(2, WARMUP_RECOUNT=False)),
            [1e-5, 1e-5, 2e-3, 1.333333e-3, 6.66667e-4, 1.786328e-4],
        ),
        (make(epochs=1, **constant_warmup()), [1e-5]),
        (make(0.0026, 2, **constant_warmup()), [1e-5, 2.6e-3]),
        (make(0.0035, 5, **constant_warmup()), [1e-5, 3.5e-3, 3.1658e-3, 2.2908e-3, 1.2092e-3]),
        (make(0.0025, 5, **constant_warmup()), [1e-5, 2.5e-3, 2.2613e-3, 1.6363e-3, 8.6373e-4]),
        (make(), [1e-3 * (1 + math.cos(math.pi * e / 6)) for e in range(6)]),
        (make(schedule="single_step"), [2e-3] * 6),
        (make(schedule="single_step", STEPSIZE=(2,)), [2e-3, 2e-3, 2e-4, 2e-4, 2e-5, 2e-5]),
        (make(schedule="multi_step", STEPSIZE=(1, 4)), [2e-3, 2e-4, 2e-4, 2e-4, 2e-5, 2e-5]),
        (
            make(schedule="single_step", STEPSIZE=(2,), **constant_warmup()),
            [1e-5, 2e-3, 2e-3, 2e-4, 2e-4, 2e-5],
        ),
        (
            make(schedule="single_step", STEPSIZE=(2,), **constant_warmup(2, WARMUP_RECOUNT=False)),
            [1e-5, 1e-5, 2e-3, 2e-3, 2e-4, 2e-4],
        ),
        (
            make(schedule="multi_step", STEPSIZE=(1, 4), **constant_warmup(2, WARMUP_RECOUNT=False)),
            [1e-5, 1e-5, 2e-3, 2e-3, 2e-4, 2e-4],
        ),
    ],
)
def test_rate_of_each_epoch(optim, expected):
    assert rates(optim) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("epochs", "last"), [(200, 4.9344e-07), (50, 7.8853e-06), (10, 1.9098e-04)])
def test_coop_schedules(epochs, last):
    lrs = rates(make(epochs=epochs, **constant_warmup()))
    assert lrs[:2] == pytest.approx([1e-5, 2e-3])
    assert lrs[-1] == pytest.approx(last, rel=1e-4)
    if epochs == 200:
        assert lrs[2:4] == pytest.approx([1.9999e-3, 1.9995e-3], rel=1e-4)


def test_groups_return_to_their_own_rates_after_the_warmup():
    optim = make(**constant_warmup(1))
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.1, 0.2)]
    optimizer = build_optimizer(None, optim, param_groups=groups)
    scheduler = build_lr_scheduler(optimizer, optim)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-5, 1e-5]
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize(
    "warmup",
    [{}, constant_warmup(), constant_warmup(3), constant_warmup(2, WARMUP_RECOUNT=False), {"WARMUP_EPOCH": 3}],
)
@pytest.mark.parametrize("schedule", ["cosine", "single_step", "multi_step"])
def test_resumed_schedule_goes_on_and_its_state_is_plain(tmp_path, schedule, warmup):
    if (
        schedule == "multi_step"
        and not dassl_compat.is_bundled()
        and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6)
    ):
        pytest.skip("torch's MultiStepLR keeps its milestones in a Counter, which early versions of 2.x do not load")
    optim = make(epochs=8, schedule=schedule, STEPSIZE=(2, 4), **warmup)
    whole = rates(optim)
    for stop in range(8):
        optimizer = build_optimizer(torch.nn.Linear(2, 2), optim)
        scheduler = build_lr_scheduler(optimizer, optim)
        for _ in range(stop):
            optimizer.step()
            scheduler.step()
        torch.save({"o": optimizer.state_dict(), "s": scheduler.state_dict()}, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)

        optimizer = build_optimizer(torch.nn.Linear(2, 2), optim)
        scheduler = build_lr_scheduler(optimizer, optim)
        optimizer.load_state_dict(state["o"])
        scheduler.load_state_dict(state["s"])
        rest = []
        for _ in range(stop, 8):
            rest.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rest == pytest.approx(whole[stop:])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("amsgrad", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_optimizers(name, kind):
    optimizer = build_optimizer(torch.nn.Linear(2, 2), make(NAME=name))
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.002
    assert optimizer.defaults["weight_decay"] == 0.0005
    assert optimizer.defaults.get("momentum", 0.9) == 0.9
    assert optimizer.defaults.get("amsgrad", False) == (name == "amsgrad")


def test_radam_takes_a_step():
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(model, make(NAME="radam", LR=0.1))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.weight, before)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"optim must be one of \['adam', .*\], but got lion"):
        build_optimizer(torch.nn.Linear(2, 2), make(NAME="lion"))
    optimizer = build_optimizer(torch.nn.Linear(2, 2), make())
    with pytest.raises(ValueError, match=r"scheduler must be one of \['single_step', .*\], but got linear"):
        build_lr_scheduler(optimizer, make(schedule="linear"))
    with pytest.raises(ValueError):
        build_lr_scheduler(optimizer, make(WARMUP_EPOCH=1, WARMUP_TYPE="cosine"))
    with pytest.raises(TypeError):
        build_lr_scheduler(optimizer, make(schedule="multi_step", STEPSIZE=3))
    with pytest.raises(TypeError):
        build_lr_scheduler(optimizer, make(schedule="single_step", STEPSIZE=(1.5,)))


def test_iterables_of_parameters_and_groups():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    assert build_optimizer(iter([a, b]), make()).param_groups[0]["params"] == [a, b]
    groups = build_optimizer([{"params": [a], "lr": 0.5}, {"params": [b]}], make()).param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.002]


def staged_model():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4))


def test_staged_lr():
    model = staged_model()
    base, new = build_optimizer(model, make(STAGED_LR=True, NEW_LAYERS="1")).param_groups
    assert (base["lr"], new["lr"]) == pytest.approx((0.0002, 0.002))
    assert [p.shape for p in base["params"]] == [p.shape for p in model[0].parameters()]
    assert [p.shape for p in new["params"]] == [p.shape for p in model[1].parameters()]
    with pytest.raises(TypeError):
        build_optimizer(model.parameters(), make(STAGED_LR=True, NEW_LAYERS="1"))


@bundled_only
def test_staged_lr_keeps_parameters_outside_layers_and_names_unknown_layers():
    model = staged_model()
    model.scale = torch.nn.Parameter(torch.ones(1))
    base, _ = build_optimizer(model, make(STAGED_LR=True, NEW_LAYERS=("1",))).param_groups
    assert any(p is model.scale for p in base["params"])
    with pytest.raises(ValueError, match=r"\"head\" in OPTIM.NEW_LAYERS .* \['0', '1'\]"):
        build_optimizer(model, make(STAGED_LR=True, NEW_LAYERS=("head",)))


@bundled_only
def test_frozen_parameters_stay_out_of_the_optimizer():
    model = staged_model()
    model[0].requires_grad_(False)
    assert len(build_optimizer(model, make()).param_groups[0]["params"]) == 2
    model[1].requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(model, make())


@bundled_only
def test_scheduler_tells_its_rate_and_refuses_a_foreign_state():
    optimizer = build_optimizer(staged_model(), make())
    scheduler = build_lr_scheduler(optimizer, make())
    assert scheduler.get_last_lr() == scheduler.base_lrs == [0.002]
    assert scheduler.last_epoch == 0
    with pytest.raises(ValueError, match=r"Dassl\.pytorch"):
        scheduler.load_state_dict({"successor": {}, "last_epoch": 1})

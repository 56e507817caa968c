"""Which runs each protocol plans, and in which directories: the layouts that CoOp's users know."""

from pathlib import Path

import pytest

from upt_clip import train
from upt_clip.config_files import ZERO_SHOT
from upt_clip.tools.sweep import commands, protocols
from upt_clip.tools.sweep.options import parse_args
from upt_clip.tools.tables import selection


def plan(*words, output="/out", root="/nowhere"):
    return commands.planned(parse_args([*map(str, words), "--output", str(output), "--root", str(root)]))


def trained(runs):
    return [r for r in runs if r.trainer != ZERO_SHOT]


def places(runs):
    return [str(r.directory) for r in runs]


def test_few_shot_has_every_trainer_shot_and_seed_and_zero_shot_once():
    words = ("reproduce", "few_shot", "--datasets", "emoji", "dtd", "--trainers", "CoOp", "VPT", "UPT")
    runs = plan(*words)
    assert len(runs) == 2 * (1 + 5 * 3 * 3) and len(set(places(runs))) == len(runs)
    assert "/out/ZeroshotCLIP/pocket/emoji" in places(runs) and "/out/ZeroshotCLIP/vit_b16/dtd" in places(runs)
    assert "/out/dtd/CoOp/vit_b16_c4_ctxv1_4shots/seed3" in places(runs)
    by_shots = {r.shots: r.epochs for r in runs if r.dataset == "dtd" and r.trainer == "UPT"}
    assert by_shots == {1: 50, 2: 100, 4: 100, 8: 200, 16: 200}  # the paper's schedule
    less = plan(*words, "--shots", "1,16", "--seeds", "2 3", "TRAINER.COOP.PREC", "fp32")
    assert len(trained(less)) == 2 * 3 * 2 * 2 and all(r.directory.parent.name == "PREC-fp32" for r in trained(less))


def test_base2new_trains_on_base_and_tests_those_prompts_on_new():
    runs = plan("base2new", "dtd", "--trainer", "UPT", "--seeds", "2")
    zero, (base, new) = [r for r in runs if r.trainer == ZERO_SHOT], trained(runs)
    assert places(zero) == [f"/out/base2new/test_{half}/dtd/ZeroshotCLIP/vit_b16" for half in ("base", "new")]
    tail = "dtd/shots_16/UPT/vit_b16_paper/seed2"
    assert places([base, new]) == [f"/out/base2new/train_base/{tail}", f"/out/base2new/test_new/{tail}"]
    assert base.epochs == 200 and not base.source and "--eval-only" not in base.arguments()
    assert new.source == base and new.command.count(f"--eval-only --model-dir {base.directory} ") == 1
    for each, classes in zip((*zero, base, new), ("base", "new", "base", "new"), strict=True):
        cfg = train.setup_cfg(train.parse_args(each.arguments()))  # the commands are what train.py takes
        assert classes == cfg.DATASET.SUBSAMPLE_CLASSES and str(each.directory) == cfg.OUTPUT_DIR
    assert trained(plan("base2new", "imagenet", "--trainer", "UPT"))[0].epochs == 50


def test_shifts_and_other_data_sets_test_the_few_shot_run_of_the_source():
    runs = plan("domain_generalization", "--source", "imagenet", "--trainer", "VPT", "--seeds", "1")
    source, *targets = trained(runs)
    assert str(source.directory) == "/out/imagenet/VPT/vit_b16_shallow_c4_16shots/seed1" and source.epochs == 50
    names = ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"]
    assert places(targets) == [f"/out/evaluation/VPT/vit_b16_shallow_c4_16shots/{name}/seed1" for name in names]
    assert all(r.source == source and f"configs/datasets/{r.dataset}.yaml" in r.arguments() for r in targets)
    assert places(runs)[:2] == ["/out/ZeroshotCLIP/vit_b16/imagenet", "/out/ZeroshotCLIP/vit_b16/imagenetv2"]
    changed = plan("domain_generalization", "--source", "emoji", "--trainer", "UPT", "TRAINER.UPT.MIXER", "joint")
    assert "/out/evaluation/UPT/pocket_c16_16shots/MIXER-joint/emoji_fluent/seed3" in places(changed)
    others = trained(plan("cross_dataset", "--source", "imagenet", "--trainer", "CoOp", "--seeds", "1"))
    assert [r.dataset for r in others[1:]] == list(selection.PAPER_SETS[1:]) and len(others) == 11


def test_ablation_changes_one_thing_at_a_time():
    runs = trained(plan("reproduce", "ablation", "--datasets", "emoji", "--seeds", "1"))
    assert {tuple(r.opts) for r in runs if "MIXER" in str(r.opts)} == {
        ("TRAINER.UPT.MIXER", name) for name in ("released", "joint", "shared", "mlp")
    }
    variants = [r.directory.parent.name for r in runs if r.opts]
    assert len(runs) == 10 and len(variants) == 9
    assert "N_CTX_TEXT-4_N_CTX_VISION-4" in variants and "N_CTX_TEXT-16_N_CTX_VISION-16" not in variants
    assert "DEPTH_TEXT-3_DEPTH_VISION-4" in variants
    paper = trained(plan("reproduce", "ablation", "--datasets", "dtd", "--seeds", "1"))
    assert "DEPTH_TEXT-12_DEPTH_VISION-12" in [r.directory.parent.name for r in paper]


def test_layers_are_those_of_the_towers():
    from upt_clip.trainers.core.clip.loader import load_clip

    pocket = load_clip("pocket")
    towers = pocket.transformer, pocket.visual.transformer
    assert protocols.LAYERS["pocket"] == tuple(len(tower.resblocks) for tower in towers)


def test_the_defaults_are_the_papers_data_sets_that_are_there_or_else_emoji(tmp_path, capsys):
    assert {r.dataset for r in plan("reproduce", "few_shot", root=tmp_path / "none")} == {"emoji"}
    assert "embedded emoji are used" in capsys.readouterr().err
    (tmp_path / "something").mkdir()
    assert {r.dataset for r in plan("cross_dataset", root=tmp_path)} == {"emoji", "emoji_fine"}
    assert "No ImageNet" in capsys.readouterr().err
    for folder in ("dtd", "caltech-101"):
        (tmp_path / folder).mkdir()
    runs = plan("reproduce", "few_shot", root=tmp_path)
    assert {r.dataset for r in runs} == {"dtd", "caltech101"} and "vit_b16" in runs[0].cfg
    (line,) = capsys.readouterr().err.splitlines()
    assert "left out: imagenet, oxford_pets" in line and "dtd" not in line
    (tmp_path / "imagenet").mkdir()
    assert "imagenet_r" in {r.dataset for r in plan("domain_generalization", root=tmp_path)}


def test_default_trainers_have_a_config_for_the_backbone():
    for protocol, names in commands.DEFAULT_TRAINERS.items():
        found = {r.trainer for r in plan("reproduce", protocol, "--datasets", "emoji")} - {ZERO_SHOT}
        assert {"UPT"} <= found <= set(names)
    resnet = plan("reproduce", "few_shot", "--datasets", "dtd", "--cfg", "rn50")
    assert {"CoOp"} <= {r.trainer for r in resnet} <= {ZERO_SHOT, "CoOp", "LinearProbe"}
    big = plan("train", "dtd", 16, "--trainer", "CoOp UPT", "--cfg", "vit_l14")
    assert {r.cfg for r in big} == {"vit_l14", "vit_l14_c4_ctxv1", "vit_l14_paper"}


def test_config_keys_may_follow_an_option_with_several_words():
    args = parse_args(["reproduce", "few_shot", "--trainers", "CoOp", "UPT", "OPTIM.LR", "-1", "--seeds", "1", "2"])
    assert args.trainers == ["CoOp", "UPT"] and args.opts == ["OPTIM.LR", "-1"] and args.seeds == [1, 2]
    assert parse_args(["reproduce", "ablation", "--trainers", "UPT", "USE_CUDA", "False"]).opts == ["USE_CUDA", "False"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("reproduce", "base2new", "--datasets", "emoji", "--trainers", "LinearProbe"), "leave it out"),
        (("base2new", "emoji", "--trainer", "CoOp", "TRAINER.COOP.CSC", "True"), "TRAINER.COOP.CSC True"),
        (("reproduce", "ablation", "--trainers", "CoOp"), "UPT alone"),
        (("domain_generalization", "--source", "dtd"), 'no targets for the source "dtd": use imagenet or emoji'),
        (("reproduce", "few_shot", "--datasets", "emojis"), "did you mean emoji?"),
        (("reproduce", "few_shot", "--datasets", "emoji", "--cfg", "pocket_papers"), "--cfg"),
        (("reproduce", "few_shot", "--workers", "0"), "--workers is 0"),
        (("reproduce", "few_shot", "--gpus", "0,1", "--workers", "2"), "leave --workers out"),
        (("reproduce", "few_shot", "--launcher", "slurm", "--gpus", "0"), "--slurm gpus_per_node=1"),
        (("reproduce", "few_shot", "--shots", "0"), "SHOTS is 0"),
        (("base2new", "emoji", "OPTIM.LR"), "come in pairs"),
    ],
)
def test_what_makes_no_sense_is_one_line(words, message):
    with pytest.raises(ValueError) as caught:
        plan(*words)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_slurm_parameters_and_a_missing_submitit(monkeypatch):
    from upt_clip.tools.sweep import slurm

    chosen = slurm.parameters(["partition=gpu", "timeout_min=120", "slurm_account=me"])
    assert chosen["slurm_partition"] == "gpu" and chosen["timeout_min"] == 120 and chosen["slurm_account"] == "me"
    with pytest.raises(ValueError, match="KEY=VALUE"):
        slurm.parameters(["partition"])
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(ValueError, match="pip install submitit"):
        slurm.run_all([], Path("/out"))


def test_a_job_is_a_training_run_with_the_tests_of_its_prompts():
    from upt_clip.tools.sweep import slurm

    runs = plan("domain_generalization", "--source", "emoji", "--trainer", "UPT CoOp", "--seeds", "1 2")
    chains = slurm.chains(runs)
    assert sorted(map(len, chains)) == [1, 1, 1, 3, 3, 3, 3]
    left = [r for r in runs if r.source]  # the source is done, say: it is in the job all the same, and skipped there
    assert all(chain[0] == chain[1].source for chain in slurm.chains(left))

"""The contract of every trainer, and what a run leaves behind."""

import json

import pytest
import torch
from safetensors import safe_open

from tests.conftest import TINY_VIT, random_clip
from upt_clip import trainers

VARIANTS = {
    "CoOp": ["CoOp", "TRAINER.COOP.N_CTX", "4"],
    "CoOp words": ["CoOp", "TRAINER.COOP.CTX_INIT", "a photo of a"],
    "CoOp class-specific": ["CoOp", "TRAINER.COOP.N_CTX", "3", "TRAINER.COOP.CSC", "True"],
    "CoOp middle": ["CoOp", "TRAINER.COOP.N_CTX", "3", "TRAINER.COOP.CLASS_TOKEN_POSITION", "middle"],
    "CoCoOp": ["CoCoOp", "TRAINER.COCOOP.N_CTX", "4"],
    "VPT shallow": ["VPT"],
    "VPT deep": ["VPT", "TRAINER.VPT.DEPTH_VISION", "3"],
    "UPT": ["UPT"],
    "UPT released": ["UPT", "TRAINER.UPT.MIXER", "released"],
    "UPT joint": ["UPT", "TRAINER.UPT.MIXER", "joint"],
    "UPT shared": ["UPT", "TRAINER.UPT.MIXER", "shared"],
    "UPT mlp": ["UPT", "TRAINER.UPT.MIXER", "mlp"],
    "UPT deep": ["UPT", "TRAINER.UPT.DEPTH_TEXT", "2", "TRAINER.UPT.DEPTH_VISION", "3", "TRAINER.UPT.N_CTX_TEXT", "3"],
    "UPT deep text": ["UPT", "TRAINER.UPT.DEPTH_TEXT", "3", "TRAINER.UPT.MIXER", "mlp"],
    "UPT gain": [
        "UPT", "TRAINER.UPT.OUTPUT_GAIN", "0.05", "TRAINER.UPT.CTX_INIT", "a photo of a",
        "TRAINER.UPT.CLASS_TOKEN_POSITION", "front",
    ],
}  # fmt: skip


def test_every_method_is_in_the_variants():
    assert {method.__name__ for method in trainers.METHODS} == {
        *(variant[0] for variant in VARIANTS.values()), "ZeroshotCLIP", "LinearProbe",
    }  # fmt: skip


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def test_training_moves_only_the_learner(build, variant, tiny_clip_file):
    trainer = build(*variant)
    learner = trainer.model.learner
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}
    clip_before = random_clip(TINY_VIT).state_dict()
    trainer.train()
    assert all(p.dtype == torch.float32 for p in learner.parameters())
    for name, p in learner.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, f"{name} gets no gradient"
        assert not torch.equal(p.detach(), before[name]), f"{name} did not move"
    towers = {**trainer.model.text_tower.state_dict()}
    towers |= {f"visual.{k}": v for k, v in trainer.model.image_tower.visual.state_dict().items()}
    assert len(towers) == len(clip_before) - 1  # all but logit_scale
    for name, tensor in towers.items():
        assert torch.equal(tensor, clip_before[name]), f"CLIP's {name} changed"
    assert {name for name, p in trainer.model.named_parameters() if p.requires_grad} == {
        f"learner.{name}" for name in before
    }


def test_loads_its_own_checkpoint_and_gives_the_same_accuracy(build, variant, tmp_path):
    trainer = build(*variant, output=tmp_path)
    trainer.train()
    logits = _logits(trainer)
    other = build(*variant, seed=2)
    assert not torch.equal(_logits(other), logits)
    other.load_model(str(tmp_path))
    torch.testing.assert_close(_logits(other), logits, atol=1e-5, rtol=1e-5)


def _logits(trainer):
    trainer.set_model_mode("eval")
    with torch.no_grad():
        return trainer.model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["CoOp", "CoCoOp", "VPT shallow", "UPT", "UPT deep"])
def test_trained_on_base_classes_loaded_for_new_ones(build, name, tmp_path):
    build(*VARIANTS[name], "DATASET.SUBSAMPLE_CLASSES", "base", output=tmp_path).train()
    new = build(*VARIANTS[name], "DATASET.SUBSAMPLE_CLASSES", "new", output=tmp_path / "new")
    new.load_model(str(tmp_path), epoch=2)
    new.test()
    result = json.loads((tmp_path / "new" / "result.json").read_text())
    assert (result["classes"], result["n_classes"], result["epochs"]) == ("new", 2, 2)


def test_zero_shot_equals_stock_clip_and_trains_nothing(build, tiny_clip, tmp_path, capsys):
    import clip

    trainer = build("ZeroshotCLIP", output=tmp_path)
    images = torch.randn(3, 3, 32, 32)
    texts = [f"a photo of a {n.replace('_', ' ')}, a type of pet." for n in trainer.dm.dataset.classnames]
    stock = tiny_clip(images, clip.tokenize(texts))[0]
    torch.testing.assert_close(trainer.model(images), stock, atol=1e-4, rtol=1e-5)
    trainer.train()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["trainable_parameters"] == result["epochs"] == 0
    assert capsys.readouterr().out.count("Nothing is trained") == 1


def test_a_run_leaves_what_it_should(build, tmp_path, capsys):
    trainer = build("UPT", output=tmp_path)
    trainer.train()
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "config.yaml", "predictions.csv", "prompts.safetensors", "result.json"
    ]  # fmt: skip
    assert (tmp_path / "prompt_learner" / "checkpoint").read_text() == "model.pth.tar-2\n"
    assert set(torch.load(tmp_path / "prompt_learner" / "model.pth.tar-2", weights_only=True)) == {
        "state_dict", "epoch", "optimizer", "scheduler", "val_result"
    }  # fmt: skip
    result = json.loads((tmp_path / "result.json").read_text())
    correct = result["accuracy"] / 100 * result["n_test"]
    assert correct == pytest.approx(round(correct)) and result["accuracy"] + result["error_rate"] == 100
    assert (result["trainer"], result["dataset"], result["shots"], result["seed"]) == ("UPT", "OxfordPets", 2, 1)
    assert result["trainable_parameters"] == sum(p.numel() for p in trainer.trainable.values())
    assert len(result["few_shot_sha256"]) == 64 and result["versions"]["torch"] == torch.__version__
    with safe_open(tmp_path / "prompts.safetensors", "pt") as file:
        assert set(file.keys()) == set(trainer.trainable)
        assert json.loads(file.metadata()["upt"])["classnames"] == trainer.dm.dataset.classnames
    printed = capsys.readouterr().out
    assert "text" in printed and "1x4x64" in printed and "of CLIP's" in printed


def test_class_features_are_encoded_once_an_evaluation_and_never_stale(build, monkeypatch):
    trainer = build("CoOp", "TRAINER.COOP.N_CTX", "4", "DATALOADER.TEST.BATCH_SIZE", "2")
    calls = []
    forward = type(trainer.model.text_tower).forward
    monkeypatch.setattr(type(trainer.model.text_tower), "forward", lambda *a: calls.append(1) or forward(*a))
    trainer.test()
    assert len(trainer.test_loader) > 1 and len(calls) == 1
    before = _logits(trainer)
    with torch.no_grad():
        trainer.model.learner.ctx.add_(1.0)
    assert not torch.allclose(_logits(trainer), before)
    moved = {"ctx": trainer.model.learner.ctx.detach() + 1}
    at = _logits(trainer)
    trainer.model.learner.load_state_dict(moved)
    assert not torch.allclose(_logits(trainer), at)


def test_frozen_text_is_encoded_once_a_training(build, monkeypatch):
    trainer = build("VPT")
    calls = []
    forward = type(trainer.model.text_tower).forward
    monkeypatch.setattr(type(trainer.model.text_tower), "forward", lambda *a: calls.append(1) or forward(*a))
    trainer.train()
    assert len(calls) == 1


def test_a_killed_run_goes_on_bit_for_bit(build, tmp_path, monkeypatch):
    whole = build("UPT", "OPTIM.MAX_EPOCH", "4", output=tmp_path / "whole")
    whole.train()
    cut = build("UPT", "OPTIM.MAX_EPOCH", "4", output=tmp_path / "cut")
    after_epoch = type(cut).after_epoch

    def killed(self):
        after_epoch(self)
        if self.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(cut), "after_epoch", killed)
        cut.train()
    again = build("UPT", "OPTIM.MAX_EPOCH", "4", output=tmp_path / "cut")
    torch.rand(7)  # whatever was drawn before the resume does not matter
    again.train()
    assert again.start_epoch == 2
    for name, p in whole.trainable.items():
        assert torch.equal(p, again.trainable[name]), name


def test_a_damaged_resume_point_falls_back_to_the_one_before(build, tmp_path, monkeypatch, capsys):
    cut = build("CoOp", "TRAINER.COOP.N_CTX", "2", "OPTIM.MAX_EPOCH", "4", output=tmp_path)
    after_epoch = type(cut).after_epoch

    def killed(self):
        after_epoch(self)
        if self.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(cut), "after_epoch", killed)
        cut.train()
    newest = tmp_path / "resume.pt"
    newest.write_bytes(newest.read_bytes()[:200])
    again = build("CoOp", "TRAINER.COOP.N_CTX", "2", "OPTIM.MAX_EPOCH", "4", output=tmp_path)
    again.train()
    assert again.start_epoch == 2 and "Damaged" in capsys.readouterr().out


def test_another_config_in_the_same_directory_is_refused(build, tmp_path):
    build("CoOp", "TRAINER.COOP.N_CTX", "2", output=tmp_path).train()
    build("CoOp", "TRAINER.COOP.N_CTX", "2", "TRAIN.PRINT_FREQ", "7", output=tmp_path)  # cannot change a result
    with pytest.raises(ValueError, match=r"TRAINER.COOP.N_CTX: 2 there, 3 now"):
        build("CoOp", "TRAINER.COOP.N_CTX", "3", output=tmp_path)


def test_a_checkpoint_of_another_kind_says_what_does_not_fit(build, tmp_path):
    build("CoOp", "TRAINER.COOP.N_CTX", "2", output=tmp_path).train()
    with pytest.raises(ValueError, match=r"ctx is \(2, 64\), expected \(3, 64\)"):
        build("CoOp", "TRAINER.COOP.N_CTX", "3").load_model(str(tmp_path))
    with pytest.raises(ValueError, match="does not fit UPT"):
        build("UPT").load_model(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"model.pth.tar-7.*there: model.pth.tar-2"):
        build("CoOp", "TRAINER.COOP.N_CTX", "2").load_model(str(tmp_path), epoch=7)


def test_coops_own_checkpoints_load_without_their_class_dependent_buffers(build, tmp_path):
    folder = tmp_path / "prompt_learner"
    folder.mkdir()
    state = {"ctx": torch.ones(4, 64), "token_prefix": torch.zeros(9, 1, 64), "token_suffix": torch.zeros(9, 72, 64)}
    torch.save({"state_dict": state, "epoch": 50}, folder / "model.pth.tar-50")
    trainer = build("CoOp", "TRAINER.COOP.N_CTX", "4")
    trainer.load_model(str(tmp_path), epoch=50)
    assert torch.equal(trainer.model.learner.ctx, torch.ones(4, 64))


def test_coop_on_a_resnet(build, tiny_resnet_file):
    build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=tiny_resnet_file).train()


@pytest.mark.parametrize("trainer", ["VPT", "UPT"])
def test_visual_prompts_need_a_vit(build, trainer, tiny_resnet_file):
    with pytest.raises(ValueError, match=f"{trainer} prompts the image tower, which must be a ViT"):
        build(trainer, backbone=tiny_resnet_file)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["UPT", "TRAINER.UPT.DEPTH_VISION", "4"], "DEPTH_VISION is 4, choose 1 to 3"),
        (["UPT", "TRAINER.UPT.DEPTH_TEXT", "0"], "DEPTH_TEXT is 0, choose 1 to 3"),
        (["UPT", "TRAINER.UPT.N_CTX_TEXT", "0"], "N_CTX_TEXT is 0"),
        (["UPT", "TRAINER.UPT.N_CTX_TEXT", "76"], "but CLIP reads 77"),
        (["UPT", "TRAINER.UPT.MIXER", "attn"], "choose one of attention, released"),
        (["UPT", "TRAINER.UPT.MIXER", "shared", "TRAINER.UPT.N_CTX_TEXT", "3"], "shared has one set of prompts"),
        (["UPT", "TRAINER.UPT.CTX_INIT", "a photo"], "has 2 tokens, but N_CTX_TEXT is 4"),
        (["UPT", "TRAINER.UPT.N_HEADS", "7"], "does not divide the text width 64"),
        (["VPT", "TRAINER.VPT.DEPTH_VISION", "9"], "choose 1 to 3"),
        (["CoOp", "TRAINER.COOP.N_CTX", "0"], "N_CTX is 0"),
        (["CoOp", "TRAINER.COOP.CLASS_TOKEN_POSITION", "back"], "choose one of end, middle, front"),
        (["CoOp", "TRAINER.COOP.PREC", "fp8"], "choose one of auto, fp32, fp16, bf16, amp"),
        (["CoOp", "INPUT.SIZE", "(48, 48)"], r"takes \(32, 32\)"),
        (["VPT", "DATASET.TEMPLATE", "a photo"], "has no {}"),
    ],
)
def test_configs_that_make_no_sense_say_what_to_do(build, opts, message):
    with pytest.raises(ValueError, match=message):
        build(*opts)


def test_words_are_counted_in_bpe_tokens(build, capsys):
    trainer = build("CoOp", "TRAINER.COOP.CTX_INIT", "a photomicrograph of_a")
    n_words, n_tokens = 4, len(trainer.model.learner.ctx)
    assert n_tokens > n_words and len(trainer.model.chunks[0].slot_rows) == n_tokens


def test_half_precision_falls_back_to_fp32_where_the_cpu_has_none(build, capsys, monkeypatch):
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: None)
    trainer = build("CoOp", "TRAINER.COOP.PREC", "fp16")
    assert trainer.precision.name == "fp32" and capsys.readouterr().out.count("Precision: fp32") == 1


@pytest.mark.parametrize("precision", ["amp", "bf16"])
def test_half_precision_trains_fp32_prompts(build, precision, monkeypatch):
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: torch.bfloat16)
    trainer = build("UPT", "TRAINER.UPT.PREC", precision)
    reference = _logits(build("UPT", "TRAINER.UPT.PREC", "fp32"))
    assert (trainer.model.text_tower.text_projection.dtype == torch.bfloat16) == (precision == "bf16")
    with trainer.precision.context():
        got = _logits(trainer)
    assert got.dtype == torch.float32
    assert (got - reference).abs().max() < 0.08 * reference.abs().max()
    trainer.train()
    assert all(p.dtype == torch.float32 for p in trainer.trainable.values())

"""Pictures of attention: the weights are those of CLIP's own attention, and the picture is written."""

import pytest
import torch
from PIL import Image

from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import finished, rows_of  # noqa: F401
from upt_clip import trainers
from upt_clip.tools.use import attention


def test_weights_of_the_stock_tower(finished, tiny_clip):  # noqa: F811
    model = trainers.load(finished("ZeroshotCLIP"))
    images = torch.randn(2, 3, 32, 32)
    inputs = []
    block = tiny_clip.visual.transformer.resblocks[1]
    block.ln_1.register_forward_hook(lambda module, args, out: inputs.append(out))
    with torch.no_grad():
        tiny_clip.encode_image(images)
    (x,) = inputs  # (L, B, D); this CLIP has one head
    q, k = torch.nn.functional.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, dim=-1)[:2]
    expected = torch.einsum("lbd,mbd->blm", q, k).div(x.shape[-1] ** 0.5).softmax(dim=-1)
    found = attention.attention(model, images, layer=2)
    assert found.shape == (2, 1, 5)  # no prompts: CLS alone looks at itself and at 4 patches
    torch.testing.assert_close(found, expected[:, :1], atol=1e-5, rtol=1e-4)


def test_prompts_have_rows_where_they_are_computed(finished):  # noqa: F811
    model = trainers.load(finished("VPT deep"))
    images = torch.randn(2, 3, 32, 32)
    for layer, n_read in ((1, 5), (2, 5), (3, 1)):
        found = attention.attention(model, images, layer)
        assert found.shape == (2, n_read, 1 + 4 + 4)
        torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, n_read))
    assert not torch.allclose(found[0], found[1])  # each picture has its own
    assert not model.network.image_tower.visual.transformer.resblocks[0].ln_1._forward_hooks


def test_pictures_that_a_cpu_encodes_in_parts(finished, monkeypatch):  # noqa: F811
    model, images = trainers.load(finished("UPT")), torch.randn(5, 3, 32, 32)
    whole = [attention.attention(model, images, layer) for layer in (1, 2)]
    monkeypatch.setattr("upt_clip.trainers.core.clip.encoders.CPU_BLOCK", 15_000)
    assert len(model.network.image_tower.split(images)) > 1
    for layer, expected in zip((1, 2), whole, strict=True):
        torch.testing.assert_close(attention.attention(model, images, layer), expected, atol=1e-5, rtol=1e-4)


def test_maps_have_mean_1():
    rows = torch.tensor([[0.2, 0.1, 0.4, 0.1, 0.1, 0.1]])
    maps, share = attention.share_of_patches(rows, n_patches=4)
    torch.testing.assert_close(share, torch.tensor([0.7]))
    torch.testing.assert_close(maps, torch.tensor([[[0.4, 0.1], [0.1, 0.1]]]) / 0.7 * 4)


def test_a_row_a_picture_and_a_column_a_token(finished, tmp_path, capsys):  # noqa: F811
    run = finished("UPT")
    pictures = [row["path"] for row in rows_of(run)[:2]]
    gone = str(tmp_path / "gone.jpg")
    status = attention.main([str(run), *pictures, gone, "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert status == 1 and "gone.jpg (no such file)" in err and out.strip() == str(tmp_path / "out/attention.png")
    with Image.open(tmp_path / "out/attention.png") as image:
        assert image.width > image.height > 300 and len(image.convert("RGB").getcolors(1 << 24)) > 50
    weights = attention.attention(trainers.load(run), torch.randn(2, 3, 32, 32), 2)
    figure = attention.draw(["a", "b"], torch.rand(2, 32, 32, 3), weights, 4, "title")
    titles = [axes.get_title().split(" (")[0] for axes in figure.axes if axes.get_title()]
    assert titles == [name for row in "ab" for name in (row, "CLS", *(f"prompt {i}" for i in (1, 2, 3, 4)))]


def test_many_pictures_go_to_several_files(finished, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(attention, "ROWS", 1)
    pictures = [row["path"] for row in rows_of(finished("ZeroshotCLIP"))[:2]]
    run = str(finished("ZeroshotCLIP"))
    assert attention.main([run, *pictures, "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["attention_1.png", "attention_2.png"]


def test_wrong_layer_and_resnet(finished, build, tiny_resnet_file, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="--layer is 4, choose 1 to 3"):
        attention.main([str(finished("UPT")), "a.jpg", "--layer", "4"])
    build("ZeroshotCLIP", backbone=tiny_resnet_file, output=tmp_path).train()
    with pytest.raises(ValueError, match="is a ResNet"):
        attention.main([str(tmp_path), "a.jpg"])

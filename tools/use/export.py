"""Writes a trained run as files that need nothing of this project: class embeddings and an image encoder.

    upt-clip export output/pets/seed1                        RUN/export/image_encoder.pt2, for torch.export.load
    upt-clip export output/pets/seed1 --format onnx --out web      web/image_encoder.onnx
    upt-clip export output/pets/seed1 --format torchscript         RUN/export/image_encoder.pt, for torch.jit.load

image_encoder   pictures (N, 3, height, width), as classes.json says they are made -> unit-length features (N, E); the
                visual prompts are baked in, N is free, everything is fp32
classes.safetensors   text_features (C, E), unit length, and logit_scale (one number); a linear probe's weight and bias
classes.json    class names, how pictures are made ready, how features become probabilities

Both are read back and compared with the model; what differs by more than 1e-4 is not written.
"""

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packaging.version import parse
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from upt_clip import cli, trainers
from upt_clip.files import write_atomically
from upt_clip.tools.use.predict import CLASSES_HELP, add_model_options, load_model
from upt_clip.trainers.core.runs.run_dir import write_json

LARGEST_DIFFERENCE = 1e-4
PT2_SINCE = "2.6"  # the first whose files PyTorch of today reads
OPSET = 17  # the first with LayerNorm as one operator
USE = {  # what makes probabilities of image features f (N, E) and the tensors t of classes.safetensors
    "softmax(logit_scale * image_features @ text_features.T)": lambda f, t: t["logit_scale"] * f @ t["text_features"].T,
    "softmax(image_features @ weight.T + bias)": lambda f, t: f @ t["weight"].T + t["bias"],
}
COSINE, LINEAR = USE


class ImageEncoder(nn.Module):
    """Pictures (N, 3, height, width) -> unit-length features (N, E), with the prompts as constants."""

    def __init__(self, model: trainers.Predictor):
        super().__init__()
        self.tower = model.network.image_tower
        with torch.no_grad():
            prompts = model.network.learner().image
        self.register_buffer("prompts", None if prompts is None else prompts.detach().clone())

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.tower(images, self.prompts), dim=-1)


def write_pt2(encoder: nn.Module, example: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """Writes the encoder and returns what the file computes."""
    free = {"images": {0: torch.export.Dim("N", min=1, max=2**31 - 1)}}
    program = torch.export.export(encoder, (example,), dynamic_shapes=free, strict=False)
    with path.open("w+b") as file:  # a file, since a path would have to end in .pt2
        torch.export.save(program, file)
        file.seek(0)
        return torch.export.load(file).module()


def write_torchscript(encoder: nn.Module, example: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """As `write_pt2`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks of shapes become constants, which other batch sizes are tested against
        traced = torch.jit.trace(encoder, example, check_trace=False)
        torch.jit.save(traced, str(path))
        return torch.jit.load(str(path), map_location="cpu")


def write_onnx(encoder: nn.Module, example: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """As `write_pt2`; needs the packages onnx and onnxruntime."""
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"]}
    axes = {"images": {0: "N"}, "features": {0: "N"}}
    # PyTorch 2.9 made an exporter the default that needs one package more; this one is in all versions
    older: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(encoder, (example,), str(path), dynamic_axes=axes, opset_version=OPSET, **names, **older)
    session = importlib.import_module("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


FORMATS = {
    "pt2": (write_pt2, "image_encoder.pt2"),
    "onnx": (write_onnx, "image_encoder.onnx"),
    "torchscript": (write_torchscript, "image_encoder.pt"),
}


@torch.no_grad()
def export_encoder(model: trainers.Predictor, format: str, folder: Path) -> tuple[Path, float]:
    """Writes the image encoder; its path and the largest difference of its features from the model's.

    Raises:
        ValueError: they differ by more than `LARGEST_DIFFERENCE`; nothing is written then.
    """
    write, name = FORMATS[format]
    encoder, side = ImageEncoder(model).eval(), model.trainer.clip_model.visual.input_resolution
    generator = torch.Generator().manual_seed(0)
    differences = []

    def write_and_compare(temporary: Path) -> None:
        exported = write(encoder, torch.randn(2, 3, side, side, generator=generator), temporary)
        for n in (1, 2, 5):  # it was written with 2
            images = torch.randn(n, 3, side, side, generator=generator)
            differences.append(float((exported(images) - model.encode_images(images)).abs().max()))
        if not max(differences) <= LARGEST_DIFFERENCE:  # NaN, too
            raise ValueError(
                f"the exported {name} differs from the model by {max(differences):.1e}, "
                f"more than {LARGEST_DIFFERENCE}: it is not written"
            )

    write_atomically(folder / name, write_and_compare)
    return folder / name, max(differences)


def class_tensors(model: trainers.Predictor) -> tuple[str, dict[str, Tensor]]:
    """The formula of `USE` that makes probabilities of image features, and the tensors that it needs."""
    learned = model.network.learner.state_dict()
    if model.classes_are_fixed and learned.keys() == {"weight", "bias"}:
        return LINEAR, {name: tensor.float().cpu() for name, tensor in learned.items()}
    scale = model.network.logit_scale.detach().float().exp().cpu()
    return COSINE, {"text_features": model.text_features(), "logit_scale": scale}


@torch.no_grad()
def export_classes(model: trainers.Predictor, encoder: str, folder: Path) -> tuple[Path, float]:
    """Writes classes.safetensors and classes.json; the first's path and the largest difference of probabilities.

    Raises:
        ValueError: the formula gives other probabilities than the model; nothing is written then.
    """
    formula, tensors = class_tensors(model)
    path, side = folder / "classes.safetensors", model.trainer.clip_model.visual.input_resolution
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = model.trainer.model_inference(images).softmax(dim=-1)

    difference = 0.0

    def write_and_compare(temporary: Path) -> None:
        nonlocal difference
        save_file(tensors, temporary)
        found = USE[formula](model.encode_images(images), load_file(temporary)).softmax(dim=-1)
        difference = float((found - expected).abs().max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ValueError(f"the exported classes give probabilities that are {difference:.1e} off: not written")

    write_atomically(path, write_and_compare)
    size = list(model.cfg.INPUT.SIZE)
    facts = {
        "classnames": model.classnames,
        "probabilities": formula,
        "logit_scale": float(tensors["logit_scale"]) if formula == COSINE else None,
        "picture": {
            "mode": "RGB",
            "resize_shorter_side": max(size),
            "interpolation": model.cfg.INPUT.INTERPOLATION,
            "center_crop": size,
            "scale_to": [0, 1],
            "mean": list(model.cfg.INPUT.PIXEL_MEAN) if "normalize" in model.cfg.INPUT.TRANSFORMS else [0.0] * 3,
            "std": list(model.cfg.INPUT.PIXEL_STD) if "normalize" in model.cfg.INPUT.TRANSFORMS else [1.0] * 3,
        },
        "image_encoder": encoder,
        "trainer": model.cfg.TRAINER.NAME,
        "backbone": model.cfg.MODEL.BACKBONE.NAME,
    }
    write_json(facts, folder / "classes.json")
    return path, difference


def check(model: trainers.Predictor, format: str) -> None:
    """Raises ValueError where a run cannot be exported."""
    method = model.cfg.TRAINER.NAME
    if model.network.image_specific:
        raise ValueError(f"{method} cannot be exported: its class embeddings depend on the image; use upt-clip predict")
    if not model.classnames:
        raise ValueError("the run does not say its classes: give --classes a,b,c")
    if format == "pt2" and parse(torch.__version__) < parse(PT2_SINCE):
        raise ValueError(
            f"--format pt2 needs PyTorch {PT2_SINCE} or newer, this is {torch.__version__}: take --format torchscript"
        )
    if format == "onnx":
        missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(f"--format onnx needs {' and '.join(missing)}: pip install onnx onnxruntime")


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("export", __doc__)
    parser.add_argument("run", metavar="RUN", help="the run's output directory")
    parser.add_argument("--out", default="", metavar="DIR", help="where the files go (default: RUN/export)")
    parser.add_argument("--format", default="pt2", choices=FORMATS, help="default: pt2, which is torch.export's")
    parser.add_argument("--classes", default="", help=CLASSES_HELP)
    add_model_options(parser, computing=False)
    args = parser.parse_args(argv)
    model = load_model(args, args.run)
    check(model, args.format)
    run = Path(args.run)
    folder = Path(args.out or (run.parent if run.is_file() else run) / "export")
    encoder, difference = export_encoder(model, args.format, folder)
    print(f"{encoder}: largest difference from the model {difference:.1e}")
    classes, difference = export_classes(model, encoder.name, folder)
    print(f"{classes}: {len(model.classnames)} classes, largest difference of probabilities {difference:.1e}")
    print(folder / "classes.json")
    return 0

"""Number formats: the towers may be fp16 or bf16, learnables, softmax and loss are always fp32."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from upt_clip.messages import did_you_mean

from .encoders import CLIPModule

CHOICES = ("auto", "fp32", "fp16", "bf16", "amp")


@dataclass(frozen=True)
class Precision:
    """`tower` is the towers' parameter dtype, `autocast` the dtype of mixed precision (None: off)."""

    name: str
    device: torch.device
    tower: torch.dtype = torch.float32
    autocast: torch.dtype | None = None

    def context(self) -> AbstractContextManager:
        """The device's own autocast, or a context that does nothing."""
        dtype = self.autocast or torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.autocast is not None)

    def loss_scaler(self):
        """A GradScaler, switched on for fp16 alone: its gradients underflow, while bf16 has fp32's range."""
        enabled = torch.float16 in (self.tower, self.autocast)
        if hasattr(torch.amp, "GradScaler"):  # torch >= 2.3
            return torch.amp.GradScaler(self.device.type, enabled=enabled)
        return torch.cuda.amp.GradScaler(enabled=enabled)

    def cast(self, clip_model: CLIPModule) -> CLIPModule:
        """CLIP with its matrices in the towers' dtype, in place; LayerNorms and embeddings stay fp32 as in OpenAI's."""
        for module in clip_model.modules():
            own = dict(module.named_parameters(recurse=False))
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.MultiheadAttention)):
                names = list(own)
            else:
                names = [name for name in ("proj", "text_projection") if name in own]
            for name in names:
                own[name].data = own[name].data.to(self.tower)
        return clip_model


def choose_precision(name: str, device: torch.device) -> Precision:
    """The precision for PREC `name` on `device`; where the device is bad at it, fp32, said in one line.

    Raises:
        ValueError: `name` is none of `CHOICES`.
    """
    if name not in CHOICES:
        raise ValueError(f'PREC is "{name}", choose one of {", ".join(CHOICES)}{did_you_mean(name, CHOICES)}')
    half = _half_dtype(device)
    if name == "fp32" or (name == "auto" and half is None):
        return Precision("fp32", device)
    if half is None:
        print(
            f"Precision: fp32, since this {device.type.upper()} has no fast 16-bit arithmetic (PREC {name} was asked)"
        )
        return Precision("fp32", device)
    if name == "amp":
        return Precision(f"amp_{_short(half)}", device, autocast=half)
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16, "auto": half}[name]
    if device.type == "cpu" and wanted is torch.float16:
        print("Precision: bf16 in place of fp16, which CPUs are slow at")
        wanted = half
    return Precision(_short(wanted), device, tower=wanted)


def choose_device(name: str | None, use_cuda: bool) -> torch.device:
    """The device called `name`; without a name a GPU if there is one and it may be used, else the CPU.

    Raises:
        ValueError: there is no such device here.
    """
    cuda = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if cuda and use_cuda else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        choices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if cuda else 0))]
        raise ValueError(f'device is "{name}", which is not here: choose one of {", ".join(choices)}') from error
    return device


def _half_dtype(device: torch.device) -> torch.dtype | None:
    """The 16-bit format that the device computes fast, if any."""
    if device.type == "cuda":
        return torch.float16
    fast_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # torch >= 2.5
    if device.type == "cpu" and fast_bf16 is not None and fast_bf16():
        return torch.bfloat16
    return None


def _short(dtype: torch.dtype) -> str:
    return {torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]

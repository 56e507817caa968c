"""Output folders with made-up results, laid out as the scripts do."""

import json

TARGETS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
REGISTRY = {
    "imagenet": "ImageNet", "imagenetv2": "ImageNetV2", "imagenet_sketch": "ImageNetSketch", "imagenet_a": "ImageNetA",
    "imagenet_r": "ImageNetR", "dtd": "DescribableTextures", "oxford_pets": "OxfordPets", "emoji": "Emoji",
}  # fmt: skip


def put(output, directory, dataset, accuracy, backbone="ViT-B/16", parameters=100):
    """A result.json; trainer, seed and classes are left to the directory."""
    path = output / directory / "result.json"
    path.parent.mkdir(parents=True)
    content = {"dataset": REGISTRY.get(dataset, dataset), "accuracy": accuracy, "backbone": backbone}
    path.write_text(json.dumps(content | {"trainable_parameters": parameters}))


def few_shot(output, dataset, values, trainer="UPT", cfg="vit_b16_paper", shots=16, variant="", **options):
    """One run for each value, with the seeds 1, 2, ..."""
    for seed, value in enumerate(values, 1):
        put(output, f"{dataset}/{trainer}/{cfg}_{shots}shots/{variant}/seed{seed}", dataset, value, **options)


def zero_shot(output, dataset, value, cfg="vit_b16", **options):
    put(output, f"ZeroshotCLIP/{cfg}/{dataset}", dataset, value, **options)


def base2new(output, dataset, base, new, trainer="UPT", cfg="vit_b16_paper", shots=16):
    for part, values in (("train_base", base), ("test_new", new)):
        for seed, value in values.items():
            put(output, f"base2new/{part}/{dataset}/shots_{shots}/{trainer}/{cfg}/seed{seed}", dataset, value)


def evaluated(output, target, values, trainer="UPT", cfg="vit_b16_paper"):
    for seed, value in enumerate(values, 1):
        put(output, f"evaluation/{trainer}/{cfg}_16shots/{target}/seed{seed}", target, value)

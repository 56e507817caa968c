"""ImageNet-A (Hendrycks et al., 2021): natural pictures that fool classifiers, of 200 classes."""

from dassl.data.datasets import DATASET_REGISTRY

from .imagenet_shift import ImageNetShift


@DATASET_REGISTRY.register()
class ImageNetA(ImageNetShift):
    dataset_dir = "imagenet-adversarial"
    images = "imagenet-a"
    homepage = "https://github.com/hendrycks/natural-adv-examples"

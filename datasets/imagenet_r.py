"""ImageNet-R (Hendrycks et al., 2021): art, cartoons, toys ... of 200 classes."""

from dassl.data.datasets import DATASET_REGISTRY

from .imagenet_shift import ImageNetShift


@DATASET_REGISTRY.register()
class ImageNetR(ImageNetShift):
    dataset_dir = "imagenet-rendition"
    images = "imagenet-r"
    homepage = "https://github.com/hendrycks/imagenet-r"

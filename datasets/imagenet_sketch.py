"""ImageNet-Sketch (Wang et al., 2019): black-and-white sketches of the 1000 classes of ImageNet."""

from dassl.data.datasets import DATASET_REGISTRY

from .imagenet_shift import ImageNetShift


@DATASET_REGISTRY.register()
class ImageNetSketch(ImageNetShift):
    dataset_dir = "imagenet-sketch"
    images = "images"
    homepage = "https://github.com/HaohanWang/ImageNet-Sketch"

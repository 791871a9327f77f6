"""A small ResNeXt (Xie et al. 2017, arXiv:1611.05431): residual blocks whose convolutions are in groups."""

from __future__ import annotations

from torch import nn

from argosy_controller.zoo.datasets.pictures import Cifar10
from argosy_controller.zoo.networks.residual import resnext


class ResNeXt(Cifar10):
    name = "resnext"
    width, groups = 16, 8

    def model(self, seed: int) -> nn.Module:
        return resnext(self.width, self.groups)

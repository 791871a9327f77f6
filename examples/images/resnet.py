"""Residual networks for small images (He et al. 2016, arXiv:1512.03385, section 4.2): 6 * depth + 2 layers; depth 3 is ResNet-20."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import pad, relu


class Block(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.stride = 1 if before == width else 2
        self.conv1, self.bn1 = nn.Conv2d(before, width, 3, self.stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:  # half the pixels, twice the channels, no weights
            x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))
        return relu(x + y)


def resnet(depth, width):
    layers = OrderedDict(conv1=nn.Conv2d(3, width, 3, 1, 1, bias=False), bn1=nn.BatchNorm2d(width), relu=nn.ReLU())
    for i, (before, after) in enumerate([(width, width), (width, 2 * width), (2 * width, 4 * width)], start=1):
        layers[f"layer{i}"] = nn.Sequential(*(Block(after if j else before, after) for j in range(depth)))
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), linear=nn.Linear(4 * width, 10))
    return nn.Sequential(layers)


def ready_resnet20(checkpoint):
    network = resnet(depth=3, width=16)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
    return network

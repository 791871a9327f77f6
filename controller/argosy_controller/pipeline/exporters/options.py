"""What exporters that quantise have in common: their options."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.options import Config

Method = Literal["minmax", "percentile", "entropy", "mse"]


class MixedConfig(Config, frozen=True, kw_only=True):
    """Which layers stay in single precision. Without options: none of a network; of an estimator those without which it would answer
    otherwise (exporters/faithful.py), and `keep_float_at_most = 0` puts them into few bits too.

    Attributes:
        keep_float: names or patterns (`layer1.*`, `*.conv1`) of layers, as torch calls them.
        mixed_drop_at_most: so many layers, the most sensitive first, stay float that the metric falls by no more than this
            against the float file, on data that are not the test data. Found by bisection, so with few evaluations.
        keep_float_at_most: no more than so many are added by that; alone, exactly so many are added.
    """

    keep_float: Annotated[tuple[str, ...], Meta(description="layers that stay float, by name or pattern")] = ()
    mixed_drop_at_most: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="layers are added to those that stay float until the metric falls by no more; none: nothing is searched for",
            ),
        ]
        | None
    ) = None
    keep_float_at_most: (
        Annotated[int, Meta(ge=0, le=100_000, description="how many layers may be added so; none: as many as it takes")] | None
    ) = None


class StaticConfig(MixedConfig, frozen=True, kw_only=True):
    """Activations in fixed ranges, which calibration data tell.

    Attributes:
        calibration: how a tensor's range is chosen: `minmax` all that was seen; `percentile` without the rarest values at
            each end; `entropy` the range that keeps most of the distribution's information (Migacz, TensorRT, GTC 2017);
            `mse` the one with the smallest mean squared error (Sung et al. 2015, arXiv:1511.06488, section 3).
        examples: of the calibration data, from the first; 0 takes all.
    """

    calibration: Annotated[Method, Meta(description="how ranges of activations are chosen")] = "minmax"
    percentile: Annotated[float, Meta(gt=50, le=100, description="of percentile: share of the values inside the range, in percent")] = 99.99
    examples: Annotated[int, Meta(ge=0, le=1_000_000, description="calibration examples that are looked at; 0 takes all")] = 0
    per_channel: Annotated[bool, Meta(description="a scale for each output channel of the weights, not one for the tensor")] = True

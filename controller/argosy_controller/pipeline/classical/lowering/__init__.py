"""Fitted estimators by torch's operators, one module for each family: what TFLite and Core ML are converted from."""

from __future__ import annotations

from typing import Any

from torch import nn

from argosy_controller.pipeline.classical.families import BAYES, CLASSIFIERS, LINEAR, MACHINES, final, has_trees, steps


def lowered(estimator: Any) -> nn.Module:
    """A fitted, supported estimator as a module in evaluation mode: float32 (rows, columns) to the outputs of `Fitted.forward`."""
    from argosy_controller.pipeline.classical.lowering import answers, bayes, linear, machines, perceptrons, trees
    from argosy_controller.pipeline.classical.lowering.scalers import scaling

    last = final(estimator)
    if has_trees(last):  # scalers are part of the thresholds
        return answers.of(trees.Forest(estimator), isinstance(last, CLASSIFIERS)).eval()
    if getattr(last, "binarize", None) is not None:  # so they are of BernoulliNB's limits
        return answers.of(bayes.in_zeros_and_ones(estimator), True).eval()
    in_front = [scaling(one) for _, one in steps(estimator)]
    if isinstance(last, MACHINES):
        return nn.Sequential(*in_front, machines.machine(last)).eval()
    family = bayes.bayes if isinstance(last, BAYES) else linear.linear if isinstance(last, LINEAR) else perceptrons.perceptron
    return nn.Sequential(*in_front, answers.of(family(last), isinstance(last, CLASSIFIERS))).eval()

"""The passes on trees and forests: pruned, thinned, their thresholds rounded; chosen by an accuracy goal where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.choosing import NOTHING, Judge, boldest, told, validation, wanted, worse
from argosy_controller.pipeline.classical.families import FORESTS, final, has_trees, members, steps
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.classical.forest_thinning import order_of_worth, tree_answers, with_trees
from argosy_controller.pipeline.classical.half_thresholds import rounded_thresholds
from argosy_controller.pipeline.classical.parts import reaching_final, with_changed_trees, with_final
from argosy_controller.pipeline.classical.thresholds import exact
from argosy_controller.pipeline.classical.tree_pruning import collapse_alphas, without_branches
from argosy_controller.pipeline.passes.interface import Context

if TYPE_CHECKING:
    from argosy_controller.pipeline.passes.prune_tree import PruneTreeConfig
    from argosy_controller.pipeline.passes.thin_forest import ThinForestConfig

Floats = NDArray[np.float64]
Alphas = list[Floats]


def pruned(model: nn.Module, config: PruneTreeConfig, ctx: Context) -> Fitted:
    """Pass prune-tree. Raises InvalidInput for a model without trees, or one that is to be judged without validation data."""
    fitted = _of_trees(model, "prune-tree")
    alphas = [collapse_alphas(tree) for tree in members(fitted.estimator)]
    if config.alpha is not None:
        ctx.on_step(1, 1)
        return _noted(fitted, fitted.replaced(_at(fitted.estimator, alphas, config.alpha)), ctx)
    judge = Judge.of(fitted, ctx, "prune-tree", "alpha")
    prices = np.unique(np.concatenate([one[np.isfinite(one)] for one in alphas]))

    def holds(number: int) -> bool:
        return judge.holds(_at(fitted.estimator, alphas, prices[number - 1]), config.drop_at_most)

    number = boldest(len(prices), holds, ctx.on_step)
    alpha = float(prices[number - 1]) if number else -1.0
    ctx.note(f"alpha {alpha:.6g}, by {told(judge.split)}" if number else f"nothing pruned: every branch costs more, by {told(judge.split)}")
    return _noted(fitted, fitted.replaced(_at(fitted.estimator, alphas, alpha)), ctx)


def _at(estimator: Any, alphas: Alphas, alpha: float) -> Any:
    """The estimator with every branch gone that saves no more than alpha a leaf."""
    last = with_changed_trees(final(estimator), lambda number, tree: without_branches(tree, alphas[number] <= alpha))
    return with_final(estimator, last)


def _noted(before: Fitted, after: Fitted, ctx: Context) -> Fitted:
    old, new = (sum(tree.node_count for tree in members(one.estimator)) for one in (before, after))
    ctx.note(f"{new:,} of {old:,} nodes are left")
    return after


def thinned(model: nn.Module, config: ThinForestConfig, ctx: Context) -> Fitted:
    """Pass thin-forest. Raises InvalidInput for a model that is no forest, for too few trees, and without validation data."""
    fitted = _of_trees(model, "thin-forest", FORESTS)
    forest = final(fitted.estimator)
    count = len(forest.estimators_)
    if config.trees > count:
        raise InvalidInput(f"pass thin-forest is to keep {config.trees} trees, and the forest has {count}: lower trees")
    split = validation(ctx, "thin-forest")
    answers = tree_answers(forest, reaching_final(fitted.estimator, next(iter(split.inputs.values()))))
    targets = wanted(fitted, answers.shape[-1], split.targets)
    kept = config.trees or _fewest(answers, targets, split.targets, config.drop_at_most, ctx)
    ctx.on_step(1, 1)
    ctx.note(f"{kept} of {count} trees, by {told(split)}")
    result = with_final(fitted.estimator, with_trees(forest, order_of_worth(answers, targets)[:kept]))
    return _noted(fitted, fitted.replaced(result), ctx)


def _fewest(answers: Floats, wanted_answers: Floats, targets: NDArray[Any], drop_at_most: float, ctx: Context) -> int:
    """The smallest number of trees that is worse than all of them by no more than `drop_at_most`.

    Examples that chose the trees flatter them. So each half of the examples judges the order that the other half chose, and the
    mean of both counts; and since more trees are not worse but by chance, the drops are made to fall with the number of trees
    by the nearest falling curve (isotonic regression).
    """
    from sklearn.isotonic import isotonic_regression

    halves = [np.arange(start, len(targets), 2) for start in (0, 1)] if len(targets) > 1 else [np.arange(len(targets))] * 2
    both = []
    for chooses, judges in (halves, halves[::-1]):
        order = order_of_worth(answers[:, chooses], wanted_answers[chooses])
        means = np.cumsum(answers[order][:, judges], axis=0) / np.arange(1, len(order) + 1)[:, None, None]
        both.append([worse(ctx, one, means[-1], targets[judges]) for one in means])
    holds = isotonic_regression(np.mean(both, axis=0), increasing=False) <= drop_at_most + NOTHING
    return int(holds.argmax()) + 1 if holds.any() else len(answers)


def rounded(model: nn.Module, ctx: Context) -> Fitted:
    """Pass round-thresholds, on the raw columns: scalers in front are folded in. Raises InvalidInput for a model without trees."""
    fitted = _of_trees(model, "round-thresholds")
    rows = np.ascontiguousarray(next(iter(ctx.data.train.inputs.values())), dtype=np.float32)
    plain = exact(fitted.estimator) if steps(fitted.estimator) else final(fitted.estimator)
    trees = members(plain)
    counts = []

    def half(number: int, tree: Any) -> Any:
        thresholds, count = rounded_thresholds(tree, rows)
        counts.append(count)
        ctx.on_step(number + 1, len(trees))
        return without_branches(tree, np.zeros(tree.node_count, dtype=bool), thresholds)

    result = fitted.replaced(with_changed_trees(plain, half))
    splits = sum(int((tree.children_left >= 0).sum()) for tree in trees)
    ctx.note(f"{sum(counts):,} of {splits:,} thresholds are 16-bit numbers, the others have none in their gap")
    return result


def _of_trees(model: nn.Module, use: str, kinds: tuple[type[Any], ...] = ()) -> Fitted:
    assert isinstance(model, Fitted)
    last = final(model.estimator)
    if not (isinstance(last, kinds) if kinds else has_trees(last)):
        wanted_kind = "a random forest or extra trees" if kinds else "a decision tree or a forest"
        raise InvalidInput(f"pass {use} changes {wanted_kind}, and the model is a {type(last).__name__}: leave the pass out")
    return model

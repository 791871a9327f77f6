"""Trains a model to answer as a better one does: a small student learns more from a teacher than from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn


class DistilConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options, beside those of training; `loss` is the hard part, against the labels.

    Attributes:
        teacher: `original` is the trained model before the first pass. A task's folder (relative to the recipe) is trained on this
            task's training data with its own options; `.` is this very task as task.py declares it, without the recipe's [task].
            An ONNX file is run as it is.
        match: `probabilities` compares them, softened by `temperature`; `outputs` takes the mean square of the difference, and
            suits outputs of any meaning.
        fresh: draws the student's weights anew, so that it learns from the teacher from the start.
        hint_student, hint_teacher: names of layers; first the student's layer learns to tell what the teacher's gives.
        hint_epochs: for that first stage, which trains a regressor between the two and throws it away.
    """

    epochs: Annotated[int, Meta(ge=0, le=10_000, description="passes over the training data")] = 10
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="the optimiser's step size at the start")] = 1e-3
    teacher: Annotated[str, Meta(min_length=1, description="original, a task's folder, or an ONNX file")] = "original"
    match: Annotated[Literal["probabilities", "outputs"], Meta(description="what must be alike")] = "probabilities"
    temperature: Annotated[float, Meta(ge=1, le=100, description="softens the teacher's probabilities; 1 leaves them")] = 4.0
    hard_weight: Annotated[float, Meta(ge=0, le=1, description="weight of the labels; the teacher has the rest")] = 0.1
    fresh: Annotated[bool, Meta(description="start the student anew")] = False
    hint_student: Annotated[str, Meta(description="student's layer that is guided first; empty: none")] = ""
    hint_teacher: Annotated[str, Meta(description="teacher's layer that guides it")] = ""
    hint_epochs: Annotated[int, Meta(ge=1, le=10_000, description="passes over the training data for the hint")] = 3


class Distil(Pass[DistilConfig]):
    """Before: a small or pruned model. After: the same structure, with weights that make it answer more as its teacher does.

    The loss is `hard_weight * loss(labels) + (1 - hard_weight) * T^2 * KL(teacher / T, student / T)`. The teacher never sees the
    test data either.
    """

    name = "distil"
    paper = (
        "Hinton et al., Distilling the knowledge in a neural network, 2015, arXiv:1503.02531, section 2; outputs: Ba and Caruana 2014, "
        "arXiv:1312.6184, equation 1; hints: Romero et al., FitNets, ICLR 2015, arXiv:1412.6550, equation 3"
    )
    config = DistilConfig

    def apply(self, model: nn.Module, config: DistilConfig, ctx: Context) -> nn.Module:
        """A copy trained with a teacher.

        Raises:
            InvalidInput: there is no such teacher, it does not fit the student, or a hint's layer is not there.
        """
        from argosy_controller.pipeline.methods.distilling import distilled

        return distilled(model, config, ctx)

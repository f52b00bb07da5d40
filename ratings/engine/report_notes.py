"""Caveats of a judge report, in plain sentences: where its data are too few for what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ratings.engine.judge_report import JudgeFigures

FEW_SYSTEMS = 10
FEW_PROMPTS = 30
FEW_VERDICTS_A_SYSTEM = 50


def caveats(figures: JudgeFigures, *, n_prompts: int) -> list[str]:
    """The sentences that hold for these figures; each names the figure and what is missing."""
    notes = [_resampling(figures, n_prompts)]
    notes += _without_value(figures)
    n_shared = figures.n_shared_systems
    if figures.tau.value is not None and n_shared < FEW_SYSTEMS:
        notes.append(f"Only {n_shared} systems are ranked by both: one exchange moves tau far.")
    notes += _unranked(figures)
    if figures.decisiveness_least_squares.warning:
        notes.append(figures.decisiveness_least_squares.warning)
    if figures.decisiveness.alpha.value is None and figures.bias.baseline is not None:
        notes.append(
            "Since α is not defined, bias is measured against the reference's own win rates (α = 1)."
        )
    delta, corrected = figures.bias.delta, figures.bias.delta_corrected
    if delta.value and corrected.value is not None and corrected.value < 0.7 * delta.value:
        notes.append(
            f"Most of the propensity for bias ({delta.value:.3f}) is the noise of few verdicts: "
            f"without it, {corrected.value:.3f} is left."
        )
    thin = int(
        np.sum(np.isfinite(figures.bias.bias) & (figures.bias.n_verdicts < FEW_VERDICTS_A_SYSTEM))
    )
    if thin:
        notes.append(
            f"The bias of {thin} systems rests on fewer than {FEW_VERDICTS_A_SYSTEM} verdicts each; "
            "read their intervals."
        )
    return [note for note in notes if note]


def _resampling(figures: JudgeFigures, n_prompts: int) -> str:
    if figures.resampled == "prompts" and n_prompts < FEW_PROMPTS:
        return f"Intervals resample {n_prompts} prompts only, and are too narrow for so few."
    if figures.resampled == "verdicts":
        return (
            f"Judge and reference share {n_prompts} prompts, too few to resample: intervals resample "
            "verdicts, and leave out how other prompts would have come out, which may be much more."
            if n_prompts < FEW_PROMPTS
            else "Intervals resample verdicts, and do not say how other prompts would have come out."
        )
    return ""


def _without_value(figures: JudgeFigures) -> list[str]:
    named = [
        ("Agreement", figures.tau),
        ("Noise ceiling", figures.ceiling.full),
        ("Decisiveness", figures.alpha),
        ("Bias", figures.bias.delta),
    ]
    if figures.instances is not None:
        named += [
            ("Cohen's kappa", figures.instances.kappa_ties_in),
            ("Cohen's kappa without ties", figures.instances.kappa_ties_out),
            ("Agreement among people", figures.people_alpha),
        ]
    return [f"{name}: {figure.reason}" for name, figure in named if figure.value is None]


def _unranked(figures: JudgeFigures) -> list[str]:
    notes = []
    sides = (
        ("The judge's", figures.judge_theta, figures.reference_theta),
        ("The reference's", figures.reference_theta, figures.judge_theta),
    )
    for whose, theta, other in sides:
        left_out = int(np.sum(~np.isfinite(theta) & np.isfinite(other)))
        if left_out:
            notes.append(
                f"{whose} verdicts cannot rank {left_out} systems that the other side ranks "
                "(they never lost, never won, or never met the rest); rankings are compared without them."
            )
    return notes

"""Prediction-powered ratings by simulation: coverage and width under a good, a useless, an adversarial judge.

python -m benchmarks.mixed_evidence --runs 200
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from dataclasses import dataclass

import numpy as np

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.prediction_powered import BattleRows, fit_prediction_powered
from ratings.engine.style_control import StyledBattles, fit_style_control, style_difference
from ratings.engine.tallies import tally

# How far a system's strength varies with the prompt, in logits: what makes verdicts on one prompt depend.
PROMPT_SPREAD = 0.8
WIDE_SPREAD = 2.5
TIES = 0.15
JUDGES = ("good", "useless", "adversarial")


def truth(strengths: np.ndarray, spread: float) -> np.ndarray:
    """(K, K) how often people prefer the first, over all prompts; ties as one half."""
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    gaps = strengths[:, None] - strengths
    rates = expit(gaps[..., None] + np.sqrt(2) * spread * nodes) @ (weights / weights.sum())
    return TIES / 2 + (1 - TIES) * rates


def target(rates: np.ndarray) -> np.ndarray:
    """The strengths that an endless panel's Bradley-Terry fit comes to."""
    k = len(rates)
    a, b = np.triu_indices(k, 1)
    won = rates[a, b]
    ones = np.zeros(len(a), int)
    counts = tally(
        np.concatenate([a, a]),
        np.concatenate([b, b]),
        np.concatenate([ones, ones + 1]),
        n_systems=k,
        count=np.concatenate([won, 1 - won]),
    )
    return fit_bradley_terry(counts).theta


def panel(
    rng: np.random.Generator,
    strengths: np.ndarray,
    *,
    prompts: int,
    a_prompt: int,
    share: float,
    judge: str,
    spread: float = PROMPT_SPREAD,
) -> BattleRows:
    """Battles of random pairs, each judged; people vote on a random share of them."""
    k = len(strengths)
    m = prompts * a_prompt
    cluster = np.repeat(np.arange(prompts), a_prompt)
    a = rng.integers(0, k, m)
    b = (a + rng.integers(1, k, m)) % k
    of_prompt = rng.normal(0, spread, (prompts, k))
    latent = strengths[a] - strengths[b] + of_prompt[cluster, a] - of_prompt[cluster, b]

    def decides(gap: np.ndarray) -> np.ndarray:
        outcome = np.where(rng.random(m) < 1 / (1 + np.exp(-gap)), 0, 1)
        return np.where(rng.random(m) < TIES, 2, outcome)

    people = decides(latent)
    favoured = rng.normal(0, 0.7, k)  # the judge's own taste
    gap = {
        "good": 3 * (latent + 0.3 * (favoured[a] - favoured[b])),
        "useless": favoured[a] - favoured[b],
        "adversarial": -2 * latent + 2 * (favoured[a] - favoured[b]),
    }[judge]
    votes = np.zeros((m, 4), int)
    asked = rng.random(m) < share
    votes[np.flatnonzero(asked), people[asked]] = 1
    return BattleRows(k, a, b, votes, np.array([1, 0, 0.5])[decides(gap)], cluster)


@dataclass(frozen=True, slots=True)
class StyledPanel(StyledBattles):
    """`unit` (F,): beta is per so much of a difference."""

    unit: np.ndarray


def styled_panel(
    rng: np.random.Generator,
    strengths: np.ndarray,
    beta: np.ndarray,
    *,
    prompts: int,
    a_prompt: int,
    verbose: float = 1.0,
) -> StyledPanel:
    """Votes that follow strengths and style; the first system writes `verbose` times as much as the others."""
    k, m = len(strengths), prompts * a_prompt
    cluster = np.repeat(np.arange(prompts), a_prompt)
    a = rng.integers(0, k, m)
    b = (a + rng.integers(1, k, m)) % k

    def style(system: np.ndarray) -> np.ndarray:
        characters = rng.lognormal(6, 0.6, m) * np.where(system == 0, verbose, 1.0)
        marks = rng.poisson(2, (m, 3))
        return np.column_stack([characters.round(), marks])

    style_a, style_b = style(a), style(b)
    unit = np.array([0.3, 0.35, 0.35, 0.35])
    gap = strengths[a] - strengths[b] + style_difference(style_a, style_b) / unit @ beta
    votes = np.zeros((m, 4), int)
    votes[np.arange(m), np.where(rng.random(m) < 1 / (1 + np.exp(-gap)), 0, 1)] = 1
    return StyledPanel(k, a, b, votes, style_a, style_b, cluster, unit)


def simulate_style(*, runs: int, systems: int, prompts: int, a_prompt: int) -> dict[str, float]:
    """Coverage of strengths and of beta where the first system writes three times as much as the others."""
    beta = np.array([0.5, 0.0, 0.3, -0.2])
    rng = np.random.default_rng([systems, prompts])
    strengths = rng.normal(0, 0.6, systems)
    strengths -= strengths.mean()
    covered, of_beta, off, plain = [], [], [], []
    for _ in range(runs):
        made = styled_panel(rng, strengths, beta, prompts=prompts, a_prompt=a_prompt, verbose=3.0)
        found = fit_style_control(made, seed=1)
        sd = np.sqrt(np.diag(found.covariance))
        covered.append((np.abs(found.theta - strengths) <= 1.96 * sd).mean())
        exact = beta * found.scale / made.unit
        of_beta.append(
            np.mean([f.lower <= x <= f.upper for f, x in zip(found.beta, exact, strict=True)])
        )
        off.append(found.theta[0] - strengths[0])
        plain.append(found.plain_theta[0] - strengths[0])
    return {
        "coverage": float(np.mean(covered)),
        "coverage of beta": float(np.mean(of_beta)),
        "bias of the verbose": float(np.mean(off)),
        "without control": float(np.mean(plain)),
    }


def simulate(
    *,
    judge: str,
    runs: int,
    systems: int,
    prompts: int,
    a_prompt: int,
    share: float,
    spread: float = PROMPT_SPREAD,
    seed: int = 0,
) -> dict[str, float]:
    rng = np.random.default_rng([seed, JUDGES.index(judge), prompts])
    strengths = rng.normal(0, 0.8, systems)
    exact = target(truth(strengths, spread))
    covered, covered_alone, ratios, powers, worths, p_values = [], [], [], [], [], []
    for run in range(runs):
        rows = panel(
            rng,
            strengths,
            prompts=prompts,
            a_prompt=a_prompt,
            share=share,
            judge=judge,
            spread=spread,
        )
        found = fit_prediction_powered(rows, seed=run, rounds=200)
        ranked = np.isfinite(found.theta)
        if not ranked.all():
            continue
        sd, alone = (
            np.sqrt(np.diag(covariance))
            for covariance in (found.covariance, found.people_covariance)
        )
        covered.append((np.abs(found.theta - exact) <= 1.96 * sd).mean())
        covered_alone.append((np.abs(found.people_theta - exact) <= 1.96 * alone).mean())
        ratios.append((sd / alone).mean())
        powers.append(found.power)
        worths.append(found.worth.value / found.n_votes)
        p_values.append(np.nan if found.p_random is None else found.p_random)
    return {
        "runs": len(covered),
        "coverage": float(np.mean(covered)),
        "people alone": float(np.mean(covered_alone)),
        "width": float(np.mean(ratios)),
        "lambda": float(np.mean(powers)),
        "worth a vote": float(np.mean(worths)),
        "p < .05": float(np.nanmean(np.array(p_values) < 0.05)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    chosen = parser.parse_args()
    print(
        "systems prompts battles  share spread judge        runs cover alone width lambda worth p<.05   seconds"
    )
    for systems, prompts, a_prompt, share, spread in (
        (12, 100, 40, 0.1, PROMPT_SPREAD),
        (12, 400, 40, 0.1, PROMPT_SPREAD),
        (12, 400, 40, 0.1, WIDE_SPREAD),
        (20, 300, 40, 0.1, PROMPT_SPREAD),
        (20, 25, 400, 0.1, PROMPT_SPREAD),
        (60, 400, 100, 0.2, PROMPT_SPREAD),
        (60, 400, 100, 0.05, WIDE_SPREAD),
    ):
        for judge in JUDGES:
            started = time.perf_counter()
            found = simulate(
                judge=judge,
                runs=chosen.runs,
                systems=systems,
                prompts=prompts,
                a_prompt=a_prompt,
                share=share,
                spread=spread,
            )
            print(
                f"{systems:7} {prompts:7} {prompts * a_prompt:7} {share:6} {spread:6} {judge:11} "
                f"{found['runs']:5} "
                f"{found['coverage']:.3f} {found['people alone']:.3f} {found['width']:.3f} "
                f"{found['lambda']:.3f} {found['worth a vote']:6.2f} {found['p < .05']:.3f} "
                f"{time.perf_counter() - started:8.1f}",
                flush=True,
            )
    print(
        "\nStyle control, one system three times as verbose: coverage of strengths and of beta, bias in logits"
    )
    for systems, prompts, a_prompt in ((8, 80, 25), (20, 200, 25), (60, 400, 50)):
        found = simulate_style(
            runs=chosen.runs, systems=systems, prompts=prompts, a_prompt=a_prompt
        )
        print(systems, prompts, prompts * a_prompt, {k: round(v, 3) for k, v in found.items()})


if __name__ == "__main__":
    main()

"""Do decisiveness and bias come back from simulated judges whose truth is known?

    python -m benchmarks.recovery            # about a quarter of an hour on two cores
    python -m benchmarks.recovery --quick    # two minutes: wider binomial errors

People's votes follow Bradley-Terry strengths, the judge's BetaCDF(·; α, α) of people's true win rates
plus a bias for each system. Both decide the same prompts. A bias that happens to follow the strengths
*is* decisiveness, so the simulated biases are made orthogonal to it: then α has one true value.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

# One thread for each process: set before numpy loads its BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, expit

from ratings.engine.agreement import kendall_tau_b, kendall_tau_b_rows
from ratings.engine.bias import system_bias
from ratings.engine.bootstrap import bootstrap_clusters
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.decisiveness import (
    least_squares_decisiveness,
    maximum_likelihood_decisiveness,
)
from ratings.engine.figure import percentile_interval
from ratings.engine.paired_resampling import paired_resampling
from ratings.engine.reference_posterior import reference_posterior
from ratings.engine.tallies import ClusteredTallies, Outcome, tally_by_cluster

ALPHAS = (0.5, 1.0, 2.0, 4.8)
N_PROMPTS = 60
ESTIMATES = ("ml", "plug_in", "ls")
DELTAS = ("delta_true", "delta", "delta_corrected")


@dataclass(frozen=True)
class World:
    """`judge` and `people`: verdicts a pair; `bias` the scale of the judge's biases."""

    name: str
    judge: int
    people: int
    n_systems: int = 20
    bias: float = 0.0
    ties: float = 0.0
    uniform: bool = False


WORLDS = (
    World("dense", judge=300, people=300, n_systems=15),
    World("dense, biased", judge=300, people=300, n_systems=15, bias=0.08),
    World("sparse", judge=2, people=6),
    World("sparse, biased", judge=2, people=6, bias=0.08),
    World("sparse, 30 % ties", judge=2, people=6, ties=0.3),
    World("sparse, uniform strengths", judge=2, people=6, uniform=True),
    World("sparse, 40 systems", judge=2, people=6, n_systems=40),
)


def true_rates(
    world: World, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs a, b (m,), people's and the judge's true win rates (m,), true bias by system (K,)."""
    k = world.n_systems
    a, b = np.triu_indices(k, 1)
    theta = rng.uniform(-1.7, 1.7, k) if world.uniform else rng.normal(0.0, 1.0, k)
    theta -= theta.mean()
    people = expit(theta[a] - theta[b])
    fair = betainc(alpha, alpha, people)
    raw = rng.normal(0.0, 1.0, k)
    room = np.minimum(fair, 1 - fair)
    slope = betainc(1.01 * alpha, 1.01 * alpha, people) - betainc(
        alpha / 1.01, alpha / 1.01, people
    )
    weight = slope / np.maximum(fair * (1 - fair), 1e-12)

    def shift(tilt: float) -> np.ndarray:
        lean = raw + tilt * theta
        return np.clip(world.bias * (lean[a] - lean[b]), -room, room)

    judge = fair
    if world.bias:
        judge = fair + shift(brentq(lambda tilt: float(weight @ shift(tilt)), -20.0, 20.0))
    excess = judge - fair
    total = np.bincount(a, weights=excess, minlength=k) - np.bincount(
        b, weights=excess, minlength=k
    )
    return a, b, people, judge, total / (k - 1)


def draw(
    a: np.ndarray, b: np.ndarray, rate: np.ndarray, n: int, world: World, rng: np.random.Generator
) -> ClusteredTallies:
    """n verdicts for each pair, on prompts drawn at random."""
    tie = np.minimum(world.ties, 2 * np.minimum(rate, 1 - rate))[:, None]
    at = rng.random((len(rate), n))
    outcome = np.where(at < rate[:, None] - tie / 2, int(Outcome.A), int(Outcome.B))
    outcome = np.where(np.abs(at - rate[:, None]) <= tie / 2, int(Outcome.TIE), outcome)
    if not world.ties:
        outcome = np.where(at < rate[:, None], int(Outcome.A), int(Outcome.B))
    return tally_by_cluster(
        np.repeat(a, n),
        np.repeat(b, n),
        outcome.ravel(),
        rng.integers(0, N_PROMPTS, outcome.size),
        n_systems=world.n_systems,
        n_clusters=N_PROMPTS,
    )


def one_run(task: tuple[World, float, int, str, int]) -> dict[str, float]:
    world, alpha, seed, unit, rounds = task
    rng = np.random.default_rng([seed, int(10 * alpha)])
    a, b, people_rate, judge_rate, bias = true_rates(world, alpha, rng)
    reference = draw(a, b, people_rate, world.people, world, rng)
    judge = draw(a, b, judge_rate, world.judge, world, rng)
    fit = fit_bradley_terry(reference.tallies)
    posterior = reference_posterior(reference, ranked=fit.comparability.ranked)
    resampling = paired_resampling(unit=unit, rounds=rounds, seed=seed, n_prompts=N_PROMPTS)
    shared = {"posterior": posterior, "resampling": resampling}
    found = maximum_likelihood_decisiveness(judge, reference, fitted=fit.theta, **shared)
    squares = least_squares_decisiveness(judge, reference, **shared)
    row = dict.fromkeys((*ESTIMATES, "covered", *DELTAS, "delta_covered", "bias_covered"), np.nan)
    row["ls"] = squares.alpha.value or np.nan
    if found.alpha.value is None:
        return row
    measured = system_bias(judge, reference, decisiveness=found, **shared)
    seen = np.isfinite(measured.bias)
    truth = float(bias[seen].std(ddof=1))
    corrected = measured.delta_corrected
    row |= {
        "ml": found.alpha.value,
        "plug_in": found.uncorrected or np.nan,
        "covered": float(found.alpha.lower <= alpha <= found.alpha.upper),
        "delta_true": truth,
        "delta": measured.delta.value,
        "delta_corrected": corrected.value,
        "delta_covered": float(corrected.lower <= truth <= corrected.upper),
        "bias_covered": float(((measured.lower <= bias) & (bias <= measured.upper))[seen].mean()),
    }
    return row


def shared_run(task: tuple[float, bool, int]) -> tuple[float, float, float, float]:
    """α of a huge panel, and estimate, plug-in and coverage from one judge verdict and three votes on
    each of two battles a pair, where each battle's answers move everybody's verdicts alike."""
    alpha, same, seed = task
    rng = np.random.default_rng([seed, 5])
    k = 20
    a, b = np.triu_indices(k, 1)
    theta = rng.normal(0.0, 1.0, k)

    def sides(n_battles: int, n_judge: int, n_people: int) -> list[ClusteredTallies]:
        drawn, effect, prompt = [], None, None
        for n, own in ((n_judge, alpha), (n_people, 1.0)):
            if effect is None or not same:
                effect = rng.normal(0.0, 1.0, (len(a), n_battles))
                # Distinct prompts within a pair; strangers' battles lie on other prompts.
                first = rng.integers(0, N_PROMPTS, len(a))[:, None] + len(drawn) * n_battles
                prompt = (first + np.arange(n_battles)) % (2 * N_PROMPTS)
            rate = betainc(own, own, expit((theta[a] - theta[b])[:, None] + effect))[..., None]
            lost = rng.random((len(a), n_battles, n)) >= rate
            drawn.append(
                tally_by_cluster(
                    np.repeat(a, n_battles * n),
                    np.repeat(b, n_battles * n),
                    lost.ravel().astype(int),
                    np.repeat(prompt.ravel(), n),
                    n_systems=k,
                    n_clusters=2 * N_PROMPTS,
                )
            )
        return drawn

    found = []
    for judge, reference in (sides(N_PROMPTS, 4, 4), sides(2, 1, 3)):
        fit = fit_bradley_terry(reference.tallies)
        found.append(
            maximum_likelihood_decisiveness(
                judge,
                reference,
                posterior=reference_posterior(reference, ranked=fit.comparability.ranked),
                fitted=fit.theta,
                resampling=paired_resampling(unit="verdicts", rounds=300, seed=seed),
            )
        )
    huge, small = found
    if huge.alpha.value is None or small.alpha.value is None:
        return (np.nan,) * 4
    covered = small.alpha.lower <= huge.alpha.value <= small.alpha.upper
    return huge.alpha.value, small.alpha.value, small.uncorrected or np.nan, float(covered)


def shared_table(*, runs: int, pool: ProcessPoolExecutor) -> None:
    print(
        "\nAnswers better or worse than their system: judge and people on the same battles or not."
    )
    print("α of a huge panel of the same kind (the target), from few verdicts, plug-in.")
    for alpha in (1.0, 3.0):
        for same in (True, False):
            rows = np.array(
                list(pool.map(shared_run, [(alpha, same, seed) for seed in range(runs)]))
            )
            huge, small, plug_in = np.exp(np.nanmean(np.log(rows[:, :3]), axis=0))
            n = int(np.isfinite(rows[:, 1]).sum())
            print(
                f"α a battle {alpha}, {'the same' if same else 'other'} battles: {huge:.3f}  "
                f"{small:.3f}  {plug_in:.3f}  n = {n}, covered {share(list(rows[:, 3]))} %",
                flush=True,
            )


def tau_run(task: tuple[World, float, int, int]) -> tuple[float, np.ndarray]:
    """tau of one draw from a fixed world, and its paired prompt replicates."""
    world, alpha, seed, rounds = task
    a, b, people_rate, judge_rate, _ = true_rates(world, alpha, np.random.default_rng(7))
    rng = np.random.default_rng([seed, 99])
    sides = [
        draw(a, b, rate, n, world, rng)
        for rate, n in ((judge_rate, world.judge), (people_rate, world.people))
    ]
    fits = [fit_bradley_terry(side.tallies) for side in sides]
    weights = paired_resampling(
        unit="prompts", rounds=rounds, seed=seed, n_prompts=N_PROMPTS
    ).weights
    drawn = [
        bootstrap_clusters(side, fit, rounds=rounds, seed=seed, threads=1, weights=weights).theta
        for side, fit in zip(sides, fits, strict=True)
    ]
    return kendall_tau_b(fits[0].theta, fits[1].theta), kendall_tau_b_rows(*drawn)


def share(values: list[float]) -> str:
    """Mean in per cent with its standard error over runs (binomial where each run says yes or no)."""
    kept = np.array(values)[np.isfinite(values)]
    error = kept.std() / np.sqrt(kept.size)
    return f"{100 * kept.mean():5.1f} ± {100 * error:3.1f}"


def table(unit: str, *, runs: int, rounds: int, pool: ProcessPoolExecutor) -> None:
    print(f"\nDecisiveness and bias; intervals resample {unit}, {rounds} rounds.")
    print("Geometric means over runs (± standard error of the maximum-likelihood one, in %).")
    heads = ("true α", "ML", "± %", "plug-in", "LS", "n", "covered %", "δ true", "δ raw", "δ corr.")
    print(f"{'world':27}" + "".join(f"{head:>10}" for head in heads) + "   δ in %       B' in %")
    for world in WORLDS:
        few = runs if world.judge < 100 else max(runs // 4, 10)
        for alpha in ALPHAS:
            tasks = [(world, alpha, seed, unit, rounds) for seed in range(few)]
            rows = list(pool.map(one_run, tasks, chunksize=5))
            columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            logs = {name: np.log(columns[name]) for name in ESTIMATES}
            n = int(np.isfinite(logs["ml"]).sum())
            error = 100 * np.nanstd(logs["ml"]) / np.sqrt(n)
            ml, plug_in, ls = (np.exp(np.nanmean(values)) for values in logs.values())
            deltas = [np.sqrt(np.nanmean(columns[name] ** 2)) for name in DELTAS]
            print(
                f"{world.name:27}{alpha:10.2f}{ml:10.3f}{error:10.1f}{plug_in:10.3f}{ls:10.3f}"
                f"{n:10d}{share(columns['covered']):>12}"
                + "".join(f"{value:10.3f}" for value in deltas)
                + f"  {share(columns['delta_covered'])} {share(columns['bias_covered'])}",
                flush=True,
            )


def tau_table(*, runs: int, rounds: int, pool: ProcessPoolExecutor) -> None:
    print("\ntau: do 95 % intervals (paired prompts) hold the mean tau of panels of this size?")
    for world in (WORLDS[2], WORLDS[0]):
        drawn = list(pool.map(tau_run, [(world, 2.0, seed, rounds) for seed in range(runs)]))
        values = np.array([value for value, _ in drawn])
        target = values.mean()
        held: dict[str, list[float]] = {"unshifted": [], "shifted": []}
        for value, replicates in drawn:
            centred = np.clip(replicates - replicates.mean() + value, -1, 1)
            for name, sample in (("unshifted", replicates), ("shifted", centred)):
                lower, upper = percentile_interval(sample)
                held[name].append(float(lower <= target <= upper))
        mean = np.mean([replicates.mean() for _, replicates in drawn])
        print(
            f"{world.name:10} mean tau {target:.3f}, mean of replicates {mean:.3f}, n = {runs}: "
            + ", ".join(f"{name} {share(values)} %" for name, values in held.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 runs in place of 200")
    quick = parser.parse_args().quick
    runs, rounds = (40, 300) if quick else (200, 400)
    start = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        for unit in ("verdicts", "prompts"):
            table(unit, runs=runs, rounds=rounds, pool=pool)
        shared_table(runs=runs, pool=pool)
        tau_table(runs=runs, rounds=rounds, pool=pool)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

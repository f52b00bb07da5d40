"""Judges with a known weakness and a known noise, asked about battles without and with a perturbation."""

import numpy as np

A, B, TIE = range(3)


def probed(
    seed: int, *, prompts: int, battles: int, noise: float, fooled: float, spread: float = 0.0
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """(arguments of ``robustness``, its true figures).

    A judge has a decision on each battle, A, B or tie alike; each time it is asked it gives another one with
    probability ``noise``. Perturbed, it decides for the perturbed side with probability ``fooled`` on
    average; with ``spread`` > 0 that differs from prompt to prompt, by a beta of 1/spread observations.
    """
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(prompts), battles)
    n = prompts * battles
    decision, side = rng.integers(0, 3, n), rng.integers(0, 2, n)

    def asked() -> np.ndarray:
        return np.where(rng.random(n) < noise, (decision + rng.integers(1, 3, n)) % 3, decision)

    weak = np.full(prompts, fooled)
    if spread and fooled:
        weak = rng.beta(fooled / spread, (1 - fooled) / spread, prompts)
    after = np.where(rng.random(n) < weak[prompt], np.where(side == 0, A, B), asked())
    retest = (1 - noise) ** 2 + noise**2 / 2
    unchanged = (1 - fooled) * retest + fooled / 3
    truth = {"unchanged": unchanged, "retest": retest, "beyond_noise": retest - unchanged}
    data = {
        "before": asked(),
        "after": after,
        "again": asked(),
        "side": side,
        "prompt": prompt,
    }
    return data, truth


def probed_in_vain(
    seed: int, *, prompts: int, battles: int, noise: float, probes: int
) -> list[dict[str, np.ndarray]]:
    """Arguments of ``robustness`` for each of several probes that do nothing, with one decision before them."""
    rng = np.random.default_rng(seed)
    n = prompts * battles
    decision = rng.integers(0, 3, n)

    def asked() -> np.ndarray:
        return np.where(rng.random(n) < noise, (decision + rng.integers(1, 3, n)) % 3, decision)

    same = {
        "before": asked(),
        "again": asked(),
        "prompt": np.repeat(np.arange(prompts), battles),
    }
    return [same | {"after": asked(), "side": rng.integers(0, 2, n)} for _ in range(probes)]

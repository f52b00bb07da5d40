"""Figures of a judge report as plotly.js figures: plain dicts, ready for JSON.

Colours are names of the stylesheet's custom properties; static/js/charts.js puts in what they stand for in
the reader's theme. Names of systems come from strangers and plotly.js reads tags in text: they are escaped.
"""

from collections.abc import Mapping, Sequence
from math import exp, lgamma, log, log1p
from typing import Any

from django.utils.html import escape

from arena.markdown import printable

INK, MUTED, RULE, ACCENT = "var(--ink)", "var(--muted)", "var(--rule)", "var(--accent)"
# The cloud and the dots that a reader can still tell apart; the tables and downloads have all.
MOST_PAIRS = 3_000
MOST_BIASES = 60
CURVE_STEPS = 100
ROW_HEIGHT = 20  # pixels

Figure = dict[str, Any]


def rating_scatter(systems: Sequence[Mapping[str, Any]], *, judge: str) -> Figure | None:
    """Every system's rating by the judge over that by people, with 95 % intervals; Elo points.

    ``systems`` are a report's. None when no system is ranked by both.
    """
    both = [
        s
        for s in systems
        if s.get("judge_rating") is not None and s.get("reference_rating") is not None
    ]
    if not both:
        return None
    axes = {"x": "reference", "y": "judge"}
    trace: Figure = {
        "type": "scatter",
        "mode": "markers",
        "marker": {"color": ACCENT, "size": 8},
        "text": [_text(s["name"]) for s in both],
        "hovertemplate": "%{text}<br>people %{x:.0f}<br>judge %{y:.0f}<extra></extra>",
        "showlegend": False,
    }
    for axis, who in axes.items():
        trace[axis] = [s[f"{who}_rating"] for s in both]
        trace[f"error_{axis}"] = _error_bars(
            both, value=f"{who}_rating", lower=f"{who}_lower", upper=f"{who}_upper"
        )
    ranges = {axis: _around(both, who) for axis, who in axes.items()}
    # The part of the diagonal that both axes show, if there is one.
    ends = [max(low for low, _ in ranges.values()), min(high for _, high in ranges.values())]
    same = [_line(ends, ends, dash="dash", color=MUTED)] if ends[0] < ends[1] else []
    return {
        "data": [*same, trace],
        "layout": _layout(
            x={"title": "Rating by people (Elo points)", "range": ranges["x"]},
            y={"title": f"Rating by {_text(judge)} (Elo points)", "range": ranges["y"]},
        ),
    }


def _around(systems: Sequence[Mapping[str, Any]], who: str) -> list[float]:
    """The range of an axis that shows all ratings of one side with their intervals."""
    values = [
        system[f"{who}_{part}"]
        for system in systems
        for part in ("rating", "lower", "upper")
        if system.get(f"{who}_{part}") is not None
    ]
    margin = 0.04 * (max(values) - min(values)) or 50
    return [round(min(values) - margin, 1), round(max(values) + margin, 1)]


def decisiveness(
    pairs: Sequence[Sequence[float]], *, alpha: Mapping[str, Any] | None, judge: str
) -> Figure | None:
    """The judge's win rates over those of people, a dot a pair, with the fitted curve and the diagonal.

    ``pairs`` are (reference win rate, judge win rate, n). The dots that rest on most verdicts are shown
    when there are more than MOST_PAIRS. None without pairs.
    """
    if not pairs:
        return None
    shown = sorted(pairs, key=lambda pair: -pair[2])[:MOST_PAIRS]
    # Both directions of a pair: the curve is symmetric, and so is what is shown.
    x, y = ([pair[i] for pair in shown] + [round(1 - pair[i], 4) for pair in shown] for i in (0, 1))
    n = [pair[2] for pair in shown] * 2
    most = max(n)
    cloud: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "marker": {
            "color": MUTED,
            "opacity": 0.35,
            # Area, not width, says how many verdicts there are.
            "size": [round(4 + 8 * (count / most) ** 0.5, 1) for count in n],
        },
        "customdata": n,
        "hovertemplate": "people %{x:.0%}<br>judge %{y:.0%}<br>%{customdata} verdicts<extra></extra>",
        "name": "a pair of systems",
    }
    data = [_line([0, 1], [0, 1], dash="dash", color=MUTED, name="as people do"), cloud]
    if alpha and alpha.get("value") is not None:
        data += _curve(alpha)
    return {
        "data": data,
        "layout": _layout(
            x={"title": "Win rate with people", "range": [-0.02, 1.02], "tickformat": ".0%"},
            y={
                "title": f"Win rate with {_text(judge)}",
                "range": [-0.02, 1.02],
                "tickformat": ".0%",
            },
            legend=True,
        ),
    }


def biases(systems: Sequence[Mapping[str, Any]]) -> Figure | None:
    """How much more a system wins with this judge than its decisiveness explains, with 95 % intervals.

    Sorted; of more than MOST_BIASES systems, those at both ends. None when no bias is known.
    """
    known = sorted(
        (s for s in systems if s.get("bias") is not None), key=lambda s: (s["bias"], s["slug"])
    )
    if not known:
        return None
    shown = ends_of(known)
    rows = list(range(len(shown)))
    trace: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": [s["bias"] for s in shown],
        "y": rows,
        "error_x": _error_bars(shown, value="bias", lower="bias_lower", upper="bias_upper"),
        "marker": {"color": ACCENT, "size": 7},
        "text": [_text(s["name"]) for s in shown],
        "customdata": [s.get("n") for s in shown],
        "hovertemplate": "%{text}<br>%{x:+.1%}<br>%{customdata} verdicts<extra></extra>",
        "showlegend": False,
    }
    return {
        "data": [_line([0, 0], [-1, len(shown)], dash="dash", color=MUTED), trace],
        "layout": _layout(
            x={
                "title": "Bias B′ (points of win rate)",
                "tickformat": "+.0%",
            },
            y={
                "tickvals": rows,
                "ticktext": [_text(_short(s["name"])) for s in shown],
                "range": [-1, len(shown)],
                "automargin": True,
                "title": "",
            },
            height=bias_height(len(known)),
            # A phone has no room for both long names and dots.
            narrow={
                "yaxis.ticktext": [_text(_short(s["name"], most=16)) for s in shown],
                "xaxis.title.text": "Bias B′",
            },
        ),
    }


def bias_height(systems: int) -> int:
    """Pixels of the chart of so many biases."""
    return 90 + ROW_HEIGHT * min(systems, MOST_BIASES)


def ends_of(ordered: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All of a sorted list, or the MOST_BIASES at its two ends."""
    if len(ordered) <= MOST_BIASES:
        return list(ordered)
    half = MOST_BIASES // 2
    return [*ordered[:half], *ordered[-half:]]


def beta_curve(alpha: float, *, steps: int = CURVE_STEPS) -> list[float]:
    """BetaCDF(x; α, α) at x = 0, 1/steps … 1; α > 0."""
    half = [_beta_cdf(step / steps, alpha) for step in range(steps // 2 + 1)]
    # The curve is symmetric about its middle, and the fraction converges fast below it only.
    mirrored = [1 - half[steps - step] for step in range(steps // 2 + 1, steps + 1)]
    return [round(value, 5) for value in half + mirrored]


def _beta_cdf(x: float, alpha: float) -> float:
    """The regularised incomplete beta function I_x(α, α) for 0 ≤ x ≤ 1/2.

    By its continued fraction (DLMF 8.17.22), evaluated from the front by Lentz's method. Importing scipy
    for a curve of 100 points would cost the web process a second and 50 MB.
    """
    if x == 0:
        return 0.0
    front = exp(alpha * (log(x) + log1p(-x)) - log(alpha) - 2 * lgamma(alpha) + lgamma(2 * alpha))
    fraction, upper, lower = 1.0, 1.0, 0.0
    for term in range(1000):
        m = term // 2
        if term == 0:
            d = 1.0
        elif term % 2 == 0:
            d = m * (alpha - m) * x / ((alpha + 2 * m - 1) * (alpha + 2 * m))
        else:
            d = -(alpha + m) * (2 * alpha + m) * x / ((alpha + 2 * m) * (alpha + 2 * m + 1))
        lower = 1 / _away_from_0(1 + d * lower)
        upper = _away_from_0(1 + d / upper)
        fraction *= upper * lower
        if abs(upper * lower - 1) < 1e-12:
            break
    return front * (fraction - 1)


def _away_from_0(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def _curve(alpha: Mapping[str, Any]) -> list[Figure]:
    """The fitted curve, within the band of its interval."""
    x = [step / CURVE_STEPS for step in range(CURVE_STEPS + 1)]
    traces = []
    if alpha.get("lower") is not None and alpha.get("upper") is not None:
        # There along one bound and back along the other.
        there, back = beta_curve(alpha["lower"]), beta_curve(alpha["upper"])
        band = _line([*x, *reversed(x)], [*there, *reversed(back)], color=ACCENT, name="95 %")
        band |= {"fill": "toself", "fillcolor": ACCENT, "opacity": 0.2, "line": {"width": 0}}
        traces.append(band)
    fitted = _line(x, beta_curve(alpha["value"]), color=ACCENT, name=f"α = {alpha['value']:.2f}")
    fitted["line"]["width"] = 2.5
    return [*traces, fitted]


def _error_bars(
    systems: Sequence[Mapping[str, Any]], *, value: str, lower: str, upper: str
) -> Figure:
    def distances(bound: str) -> list[float]:
        return [0.0 if s.get(bound) is None else abs(s[bound] - s[value]) for s in systems]

    return {
        "type": "data",
        "symmetric": False,
        "array": distances(upper),
        "arrayminus": distances(lower),
        "thickness": 1,
        "width": 0,
        "color": MUTED,
    }


def _line(
    x: list[float], y: list[float], *, color: str, dash: str = "solid", name: str = ""
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": color, "dash": dash, "width": 1},
        "hoverinfo": "skip",
        "name": name,
        "showlegend": bool(name),
    }


def _layout(
    *,
    x: Figure,
    y: Figure,
    legend: bool = False,
    height: int = 420,
    narrow: Figure | None = None,
) -> Figure:
    """plotly.js ignores meta; charts.js puts its ``narrow`` entries over the layout on a small screen."""
    axis = {"gridcolor": RULE, "linecolor": RULE, "zeroline": False, "automargin": True}
    return {
        "xaxis": axis | x | {"title": {"text": x["title"]}},
        "yaxis": axis | y | {"title": {"text": y["title"]}},
        "height": height,
        "meta": {"narrow": narrow or {}},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 13},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": RULE, "font": {"color": INK}},
        "showlegend": legend,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }


def _text(name: str) -> str:
    return escape(printable(name))


def _short(name: str, *, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"

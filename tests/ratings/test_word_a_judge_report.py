import pytest

from ratings.wording import (
    Estimate,
    decimal,
    favourites,
    gaps,
    gaps_in_a_word,
    interval,
    judges_sentence,
    own_family,
    points,
    ranking,
    single_battles,
    summary_of,
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.54, 2, ".54"),
        (-0.066, 2, "−.07"),
        (1.842, 2, "1.84"),
        (-1.5, 1, "−1.5"),
        (0.0, 2, ".00"),
        (-0.001, 2, ".00"),
        (1.0, 1, "1.0"),
        (0.996, 2, "1.00"),
        (999.6, 0, "1000"),
        (0.2, 0, "0"),
        (None, 2, "–"),
    ],
)
def test_a_number_has_no_leading_zero_and_a_true_minus(value, digits, text):
    assert decimal(value, digits) == text


def test_an_interval_needs_both_ends():
    assert interval(-0.1, 0.3) == "−.10 to .30"
    assert interval(None, 0.3) == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.09, "9 points"), (-0.094, "9 points"), (0.01, "1 point"), (0.001, "less than a point")],
)
def test_points_have_no_sign(share, text):
    assert points(share) == text


def test_an_estimate_is_read_from_a_reports_figures():
    assert Estimate.of({"value": 0.5, "lower": 0.4, "upper": 0.6, "n": 3}) == Estimate(
        0.5, 0.4, 0.6, 3
    )
    assert Estimate.of({"value": None, "reason": "Too few."}) is None
    assert Estimate.of(None) is None


@pytest.mark.parametrize(
    ("tau", "ceiling", "words", "figures"),
    [
        # Bands of the share of the ceiling, at their edges.
        ((0.8, 0.7, 0.9), 1.0, "about as people do", "τ .80 of a possible 1.00"),
        ((0.54, 0.4, 0.6), 0.66, "about as people do", "τ .54 of a possible .66"),
        ((0.54, 0.4, 0.6), 0.73, "somewhat as people do", "τ .54 of a possible .73"),
        ((0.5, 0.4, 0.6), 1.0, "somewhat as people do", "τ .50 of a possible 1.00"),
        ((0.49, 0.4, 0.6), 1.0, "only loosely as people do", "τ .49 of a possible 1.00"),
        ((0.2, 0.1, 0.3), 1.0, "only loosely as people do", "τ .20 of a possible 1.00"),
        ((0.19, 0.1, 0.3), 1.0, "in hardly the order of people", "τ .19 of a possible 1.00"),
        # Without a ceiling τ itself is banded; a ceiling of nothing is none.
        ((0.54, 0.4, 0.6), None, "somewhat as people do", "τ .54"),
        ((0.85, 0.8, 0.9), None, "about as people do", "τ .85"),
        ((0.85, 0.8, 0.9), 0.0, "about as people do", "τ .85"),
        ((0.85, 0.8, 0.9), -0.1, "about as people do", "τ .85"),
        # A judge may even do better than people among themselves.
        ((0.7, 0.6, 0.8), 0.66, "about as people do", "τ .70 of a possible .66"),
        ((-0.4, -0.6, -0.1), 0.66, "against the order of people", "τ −.40 of a possible .66"),
    ],
)
def test_how_far_the_ranking_is_that_of_people(tau, ceiling, words, figures):
    clause = ranking(Estimate(*tau), None if ceiling is None else Estimate(ceiling))
    assert clause.text == f"This judge ranks systems {words} ({figures})"
    assert clause.anchor == "agreement"


@pytest.mark.parametrize(
    ("tau", "ceiling", "figures"),
    [
        ((0.2, -0.1, 0.5), 0.66, " (τ .20 of a possible .66, −.10 to .50)"),
        ((-0.2, -0.5, 0.1), None, " (τ −.20, −.50 to .10)"),
        ((0.2, None, None), None, " (τ .20, no interval)"),
        (None, 0.66, ""),
    ],
)
def test_too_few_data_for_a_ranking(tau, ceiling, figures):
    clause = ranking(tau and Estimate(*tau), None if ceiling is None else Estimate(ceiling))
    assert clause.text == f"Too few data to say whether it ranks systems as people do{figures}"


@pytest.mark.parametrize(
    ("alpha", "word", "text"),
    [
        ((1.84, 1.5, 2.2), "exaggerates", "It exaggerates gaps (α 1.84)"),
        ((0.6, 0.5, 0.7), "compresses", "It compresses gaps (α .60)"),
        ((1.0, 0.9, 1.1), "like people", "Its gaps between systems are about those of people (α 1.00)"),
        # Within the bounds, though the interval leaves out 1.
        ((1.15, 1.05, 1.25), "like people", "Its gaps between systems are about those of people (α 1.15)"),
        ((1.2, 1.05, 1.26), "exaggerates", "It exaggerates gaps (α 1.20)"),
        ((1.2, 0.7, 2.0), "unclear", "Whether it exaggerates or compresses gaps can’t be told yet (α 1.20)"),
        ((1.2, None, None), "no answer", "Its verdicts don’t tell whether it exaggerates gaps (α 1.20)"),
        (None, "no answer", "Its verdicts don’t tell whether it exaggerates gaps"),
    ],
)  # fmt: skip
def test_what_it_does_to_gaps(alpha, word, text):
    estimate = alpha and Estimate(*alpha)
    assert gaps_in_a_word(estimate) == word
    assert gaps(estimate).text == text


def system(name, bias, spread=0.02):
    return {
        "name": name,
        "bias": bias,
        "bias_lower": None if spread is None else bias - spread,
        "bias_upper": None if spread is None else bias + spread,
    }


@pytest.mark.parametrize(
    ("systems", "text"),
    [
        ([], "Too few data to say which systems it favours"),
        ([system("Ada", 0.3, None)], "Too few data to say which systems it favours"),
        (
            [system("Ada", 0.01), system("Basil", -0.01)],
            "None of 2 systems is visibly favoured or disfavoured",
        ),
        ([system("Ada", 0.05), system("Basil", 0.01)], "It favours Ada by 5 points"),
        ([system("Ada", -0.05), system("Basil", 0.01)], "It is hard on Ada by 5 points"),
        (
            [system("Ada", 0.05), system("Basil", 0.09), system("Cleo", -0.14)],
            "It favours Basil by 9 points and Ada by 5 points, and is hard on Cleo by 14 points",
        ),
        (
            [system(name, 0.1 + number / 100) for number, name in enumerate("ABCDE")],
            "It favours E by 14 points, D by 13 points, C by 12 points and 2 others",
        ),
        (
            [system(name, 0.1 + number / 100) for number, name in enumerate("ABCD")],
            "It favours D by 13 points, C by 12 points, B by 11 points and 1 other",
        ),
        (
            [system("Ada", 0.05), *(system(f"S{n}", 0.0) for n in range(39))],
            "1 of 40 systems seems favoured or disfavoured, no more than chance alone would show",
        ),
        (
            [
                system("Ada", 0.05),
                system("Basil", -0.05),
                *(system(f"S{n}", 0.0) for n in range(38)),
            ],
            "2 of 40 systems seem favoured or disfavoured, no more than chance alone would show",
        ),
    ],
)
def test_whom_it_favours(systems, text):
    clause = favourites(systems)
    assert clause.text == text
    assert clause.anchor == "bias"


@pytest.mark.parametrize(
    ("bias", "beginning", "end"),
    [
        ((0.09, 0.02, 0.16), "It favours", " by 9 points"),
        ((-0.09, -0.16, -0.02), "It is hard on", " by 9 points"),
        ((0.09, -0.02, 0.2), "Whether it favours", " can’t be told (bias .09, −.02 to .20)"),
        ((0.09, None, None), "Whether it favours", " can’t be told (bias .09, no interval)"),
    ],
)
def test_its_own_family(bias, beginning, end):
    clause = own_family("OpenAI", Estimate(*bias))
    assert clause.text == f"{beginning} systems of its own family (OpenAI){end}"
    assert clause.anchor == "bias"


def test_without_a_family_or_its_bias_nothing_is_said_of_it():
    assert own_family("", Estimate(0.09, 0.02, 0.16)) is None
    assert own_family("OpenAI", None) is None


@pytest.mark.parametrize(
    ("kappa", "how"),
    [
        (0.8, "almost perfectly (κ .80)"),
        (0.6, "substantially (κ .60)"),
        (0.4, "moderately (κ .40)"),
        (0.39, "fairly (κ .39)"),
        (0.0, "slightly (κ .00)"),
        (-0.2, "less than chance would (κ −.20)"),
    ],
)
def test_single_battles_in_words(kappa, how):
    clause = single_battles(Estimate(0.62), Estimate(kappa))
    assert clause.text == (
        "On single battles it decides as most people do 62\u202f% of the time, agreeing " + how
    )


def test_single_battles_without_kappa_or_at_all():
    assert single_battles(Estimate(0.62), None).text.endswith("62\u202f% of the time")
    assert single_battles(None, Estimate(0.2)).text == (
        "Too few shared battles to compare single verdicts"
    )


def test_a_report_of_nothing_has_words_too():
    anchors = [clause.anchor for clause in summary_of({})]
    assert anchors == ["agreement", "decisiveness", "bias", "battles"]


@pytest.mark.parametrize(
    ("judges", "with_report", "beginning"),
    [
        (0, 0, "This arena has no judge but people yet."),
        (1, 1, "One judge is compared with people: the closer"),
        (2, 2, "2 judges are compared with people: the closer"),
        (3, 2, "3 judges are compared with people, for 2 of which there is a report: the closer"),
        (3, 0, "3 judges are compared with people, for none of which there is a report yet: the"),
    ],
)
def test_the_sentence_of_the_judges_page(judges, with_report, beginning):
    assert judges_sentence(judges=judges, with_report=with_report).startswith(beginning)

r"""Formulas are shown as they were written: Markdown takes nothing out of them."""

import html
import re
import time

import pytest

from arena import markdown


def words_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page)).strip("\n")


@pytest.mark.parametrize(
    "formula",
    [
        "$a_1 * b_1 * c$",
        r"$\frac{a_1}{b_1} \\ \% \_x$",
        r"\(x_1 + y_1\)",
        r"\[\sum_{i=1}^n x_i *y_i*\]",
        "$$x_1_2$$",
        "$$\na_1 \\\\\nb_1 * c * d\n$$",
        "\\[\n\\begin{matrix} a & b \\\\ c & d \\end{matrix}\n\\]",
        "$a < b > c$",
        "$[x](y)$",
        "$x<script>alert(1)</script>$",
    ],
)
@pytest.mark.parametrize("around", ["{}", "- {}", "so\n{}\nthen", "> {}"])
def test_a_formula_keeps_every_character(formula, around):
    text = around.format(formula.replace("\n", "\n> " if around == "> {}" else "\n  "))
    page = markdown.render(text)
    shown = html.unescape(re.search(r'class="maths">(.*?)</(?:p|code)>', page, re.DOTALL)[1])
    assert shown.split() == formula.split()
    assert "<em>" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 or $10.",
        "From $5 to $x",
        r"\$5 and \$6",
        "`$x_1$` and `\\(y\\)`",
        "$ x $",
        "$$",
        "$$$",
        r"\[not closed",
        "$$\nnot closed\n\nby anything",
        "Prices in $",
    ],
)
def test_what_is_no_formula_is_left_alone(text):
    assert 'class="maths"' not in markdown.render(text)


def test_text_between_formulas_is_still_formatted():
    page = markdown.render(r"If $a_1$ is **big**, then $b_1$ *is*.")
    assert "<strong>big</strong>" in page
    assert "<em>is</em>" in page
    assert words_of(page) == "If $a_1$ is big, then $b_1$ is."


def test_a_block_of_code_keeps_its_dollars():
    assert 'class="maths"' not in markdown.render("```\n$$\nx\n$$\n```\n\n    $$\n    x\n    $$")


@pytest.mark.parametrize(
    "unit", ["$", "$$", "$x", "\\(", "\\[", "$$\n", "\\[\n", "$a$", "$ ", "\\"]
)
def test_no_text_of_marks_takes_seconds(unit):
    paragraph = (unit * markdown.LONGEST_PARAGRAPH)[: markdown.LONGEST_PARAGRAPH - 1]
    started = time.process_time()
    markdown.render("\n\n".join([paragraph] * 5))
    assert time.process_time() - started < 3

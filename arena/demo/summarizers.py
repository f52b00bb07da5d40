"""The systems of the demo arena: real programs, each a pure function from a text to a summary."""

from collections.abc import Callable
from dataclasses import dataclass

from arena.demo import by_content, by_position


@dataclass(frozen=True, slots=True)
class Summarizer:
    """A summarizer and what the arena says about it; `family` is the kind of idea that it comes from."""

    name: str
    family: str
    description: str
    summarize: Callable[[str], str]
    version: str = "1"
    organisation: str = "Jurybox demo"
    licence: str = "MIT"


SUMMARIZERS = (
    Summarizer(
        name="First sentences",
        family="position",
        description="The beginning of the text, as far as the budget goes.",
        summarize=by_position.first_sentences,
    ),
    Summarizer(
        name="Last sentences",
        family="position",
        description="The end of the text, as far as the budget goes.",
        summarize=by_position.last_sentences,
    ),
    Summarizer(
        name="First and last",
        family="position",
        description="The first sentence, the last one and, where there is room, the second.",
        summarize=by_position.first_and_last,
    ),
    Summarizer(
        name="Random sentences",
        family="chance",
        description="Sentences drawn by lot, always the same ones for the same text.",
        summarize=by_position.random_sentences,
    ),
    Summarizer(
        name="Longest sentences",
        family="length",
        description="The longest sentences that the budget allows.",
        summarize=by_position.longest_sentences,
    ),
    Summarizer(
        name="Shortest sentences",
        family="length",
        description="The three shortest sentences.",
        summarize=by_position.shortest_sentences,
    ),
    Summarizer(
        name="Everything",
        family="length",
        description="The whole text but for its shortest sentence: it shows who rewards length.",
        summarize=by_position.everything,
    ),
    Summarizer(
        name="TF-IDF centroid",
        family="frequency",
        description="The sentences nearest to the average sentence, rare words weighing more.",
        summarize=by_content.tf_idf_centroid,
    ),
    Summarizer(
        name="SumBasic",
        family="frequency",
        description="The sentences with the most frequent words, each word losing weight once used.",
        summarize=by_content.sum_basic,
    ),
    Summarizer(
        name="TextRank",
        family="graph",
        description="The sentences that share most words with others that do, by PageRank.",
        summarize=by_content.text_rank,
    ),
    Summarizer(
        name="LexRank",
        family="graph",
        description="The sentences that resemble most others that do, by PageRank above a threshold.",
        summarize=by_content.lex_rank,
    ),
)

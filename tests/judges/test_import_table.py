import pytest
from django.core.management import CommandError, call_command

from arena.models import Battle, Prompt
from judges.formats.errors import DatasetError
from judges.formats.interface import Options
from judges.models import Verdict
from tests.judges.datasets import load, outcomes, write_csv

pytestmark = pytest.mark.django_db

ROWS = [
    {"left": "Ada", "right": "Basil", "choice": "L", "who": "w1", "task": "t1", "id": 5},
    {"left": "Ada", "right": "Basil", "choice": "R", "who": "w2", "task": "t1", "id": 5},
    {"left": "Cleo", "right": "Ada", "choice": "both awful", "who": "w1", "task": "t2", "id": 6},
]
COLUMNS = {"model_a": "left", "model_b": "right", "winner": "choice", "voter": "who",
           "question_id": "task", "id": ""}  # fmt: skip
VALUES = {"L": "model_a", "R": "model_b", "both awful": "both_bad"}


def test_columns_and_values_are_mapped(tmp_path):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    load(path, "table", options=Options(columns=COLUMNS, values=VALUES))
    assert outcomes("battles") == [
        ("Ada", "Basil", "A"),
        ("Ada", "Basil", "B"),
        ("Ada", "Cleo", "BOTH_BAD"),
    ]
    assert Battle.objects.count() == 2
    assert set(Prompt.objects.values_list("source_id", flat=True)) == {"t1", "t2"}
    assert set(Verdict.objects.values_list("voter__handle", flat=True)) == {"w1", "w2"}


def test_the_command_takes_the_mapping(tmp_path, capsys):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    columns = [f"--column={ours}={theirs}" for ours, theirs in COLUMNS.items()]
    values = [f"--value={theirs}={ours}" for theirs, ours in VALUES.items()]
    call_command("import_dataset", "table", str(path), "--arena=survey", *columns, *values)
    assert len(outcomes("survey")) == 3
    shown = capsys.readouterr().out.splitlines()
    assert "verdicts               3               0           0" in shown


def test_a_column_that_is_not_in_the_file_is_named(tmp_path):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    with pytest.raises(
        DatasetError, match="there is no column 'links'; the columns are left, right"
    ):
        load(path, "table", options=Options(columns={"model_a": "links"}))


def test_a_column_that_is_not_ours_is_named(tmp_path):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    with pytest.raises(DatasetError, match="--column modell=…: there is no such column here"):
        load(path, "table", options=Options(columns={"modell": "left"}))


def test_a_value_without_meaning_is_named(tmp_path):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    with pytest.raises(DatasetError, match=r"survey.csv, line 2, column winner: 'L' is not one of"):
        load(path, "table", options=Options(columns=COLUMNS))


@pytest.mark.parametrize(
    "words", [["--column=left"], ["--value==model_a"], ["--judge-kind=llm"], ["--arena=Not a slug"]]
)
def test_the_command_refuses_what_makes_no_sense(tmp_path, words):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    with pytest.raises(CommandError):
        call_command("import_dataset", "table", str(path), "--arena=survey", *words)


def test_a_mapping_belongs_to_tables_only(tmp_path):
    path = write_csv(tmp_path / "survey.csv", ROWS)
    with pytest.raises(CommandError, match="belong to the format table"):
        call_command("import_dataset", "lmarena", str(path), "--arena=a", "--column=model_a=left")

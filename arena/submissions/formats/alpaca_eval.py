"""AlpacaEval's model_outputs.json: a list of {instruction, output, generator}, the prompt by its text."""

from arena.record_fields import Fields, short
from arena.records import Values
from arena.uploads import OutputRow

KNOWN = {"instruction", "input", "output", "generator", "dataset", "datasplit"}
LOOKS_LIKE = 'AlpacaEval\'s list of {"instruction", "output", "generator"}'


def recognises(values: Values) -> bool:
    return "instruction" in values


def system(values: Values) -> str:
    return short(values, "generator", 200)


def row(line: int, values: Values) -> OutputRow:
    record = Fields(values)
    instruction = record.text("instruction")
    # What some sets keep apart was one prompt to the system.
    if extra := record.text("input", required=False):
        instruction = f"{instruction}\n\n{extra}"
    found = OutputRow(line=line, text=record.text("output"), prompt=instruction)
    record.check()
    return found

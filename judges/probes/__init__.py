"""Probes of an LLM judge: changes that should not matter, made to a battle before it is shown.

What may be changed is what a stranger could have written, the answers, beside their order and the symbols
that they go by. The judge's instructions stay as they are. A probe is pure: (battle, probe, seed) decide
which answer it changes and how, so that what was shown can always be shown again.
"""

from judges.probes.interface import (
    RETEST,
    UNCHANGED,
    Counts,
    Draw,
    Probe,
    ProbeError,
    drawn,
    is_fooled,
)
from judges.probes.registry import PROBES, USUAL, VERSION, probes_named

__all__ = [
    "PROBES",
    "RETEST",
    "UNCHANGED",
    "USUAL",
    "VERSION",
    "Counts",
    "Draw",
    "Probe",
    "ProbeError",
    "drawn",
    "is_fooled",
    "probes_named",
]

"""How LLM judges are asked and their replies read. A new protocol is a module here, and a line below."""

from collections.abc import Mapping
from typing import Any

from judges.protocols.asking import Asking
from judges.protocols.battle import Battle
from judges.protocols.checklist import Checklist
from judges.protocols.choice_probability import ChoiceProbability
from judges.protocols.five_step import FiveStep
from judges.protocols.likert import Likert
from judges.protocols.numeric import Numeric
from judges.protocols.options import Options, ProtocolError, options_from
from judges.protocols.rubric import Rubric
from judges.protocols.yes_no import YesNo

__all__ = ["PROTOCOLS", "Options", "ProtocolError", "protocol_from"]

PROTOCOLS: dict[str, type[Asking]] = {
    protocol.name: protocol
    for protocol in (
        Battle,
        FiveStep,
        Rubric,
        ChoiceProbability,
        Numeric,
        Likert,
        YesNo,
        Checklist,
    )
}


def protocol_from(configuration: Mapping[str, Any]) -> Asking:
    """The protocol of a judge's configuration: its key "protocol" holds a "name" and "options".

    Its key "discussion", where there is one, names the judges whose first verdicts are told: see
    judges.juries.discussing. Raises ProtocolError for a name or an option that doesn't exist; it lists those
    that do.
    """
    chosen = configuration.get("protocol")
    name = chosen.get("name") if isinstance(chosen, Mapping) else None
    if name not in PROTOCOLS:
        raise ProtocolError(f"{name!r} is no protocol: there are {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
    given = chosen.get("options", {})
    if not isinstance(given, Mapping):
        raise ProtocolError("The options of a protocol are names with values.")
    options = options_from(
        {**protocol.defaults, **given}, protocol=name, known=protocol.known | set(protocol.defaults)
    )
    if name == Rubric.name and not options.criteria:
        raise ProtocolError("The protocol rubric needs criteria: a list of their names.")
    discussion = configuration.get("discussion")
    if discussion is None:
        return protocol(options=options)
    if not protocol.judges_battles:
        raise ProtocolError(f"{name} scores one answer: judges discuss verdicts on battles.")
    return protocol(options=options, hears=1 + len(discussion["of"]))

"""Chats of several turns as one text."""


def in_turns(answers: list[str]) -> str:
    """Several answers as one text; a single one stays as it is."""
    if len(answers) == 1:
        return answers[0]
    return "\n\n".join(f"[Answer {n}]\n{answer}" for n, answer in enumerate(answers, start=1))

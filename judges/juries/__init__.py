"""Juries: verdicts that follow from what other judges have said. The rules are pure; see `rules`."""

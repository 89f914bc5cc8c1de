"""Print the table of exercises: ``python -m tools.exercise_table > docs/exercises.md``."""

from __future__ import annotations

from helpers.exercises import modules

HEAD = """# The exercises

Made by `python -m tools.exercise_table > docs/exercises.md`. Each exercise tells these wrong \
answers apart by what they
do, and says to each what to look at.

| notebook | exercise | objective | misconceptions told apart |
|---|---|---|---|"""


def table() -> str:
    """Return the table of all exercises, in Markdown."""
    rows = [
        f"| {e.notebook} | {e.number} · {e.title} | {e.objective} | "
        f"{'; '.join(c.name for c in e.misconceptions)} |"
        for exercises in modules().values()
        for e in exercises
    ]
    return "\n".join([HEAD, *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")

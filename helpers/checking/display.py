"""The one place that shows something: verdicts, hints, solutions and progress."""

from __future__ import annotations

MOST_PRINTED = 5  # lines shown of what an answer printed
ROW = "{:30} {:>8}   {:8} {:>6}"


def verdict(text: str, printed: str) -> None:
    """Show what is said of an answer, and the first lines of what the answer printed."""
    print(text)
    if not printed:
        return
    lines = printed.splitlines()
    print("Your code printed:")
    for line in lines[:MOST_PRINTED]:
        print(f"  {line}")
    if len(lines) > MOST_PRINTED:
        print("  ...")


def hint(text: str) -> None:
    """Show a hint, or that there is none left."""
    print(text)


def solution(text: str) -> None:
    """Show the source of a right answer, or that it is kept."""
    print(text)


def progress(noted: dict[str, dict]) -> None:
    """Show a table of the exercises that were tried, from what `progress.load` returns."""
    print(ROW.format("notebook", "exercise", "result", "hints"))
    if not noted:
        print("nothing tried yet")
    for notebook, exercises in sorted(noted.items()):
        for number, facts in sorted(exercises.items()):
            result = "right" if facts.get("right") else "not yet"
            hints = facts.get("hints", 0)
            print(ROW.format(notebook, number, result, hints))

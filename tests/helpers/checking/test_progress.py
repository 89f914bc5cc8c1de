"""The small file that remembers what was tried."""

import json
from pathlib import Path

import pytest
from small_exercise import double, forever, said, small

from helpers import exercises
from helpers.checking import progress


def test_progress_is_kept_in_one_file_and_shown(tmp_path, capsys):
    exercise = small()
    exercise.judge(double)
    exercise.check(...)
    assert list(tmp_path.iterdir()) == []
    exercise.check(forever.__class__)
    exercise.hint()
    exercise.check(double)
    exercise.check(lambda n: n)
    assert [path.name for path in tmp_path.iterdir()] == ["exercises.json"]
    assert json.loads((tmp_path / "exercises.json").read_text()) == {
        "00_test": {"7": {"hints": 1, "right": True, "tried": True}}
    }
    capsys.readouterr()
    exercises.progress()
    assert capsys.readouterr().out.splitlines()[1].split() == ["00_test", "7", "right", "1"]


@pytest.mark.parametrize(
    "damaged", ["", "{", "[1]", '{"00_test": 3}', '{"00_test": {"7": 3}}', "\x00"]
)
def test_a_damaged_progress_file_is_begun_anew(damaged, tmp_path, capsys):
    (tmp_path / "exercises.json").write_text(damaged)
    exercises.progress()
    assert "nothing tried yet" in capsys.readouterr().out
    assert said(capsys, small(), double) == "Exercise 7: right\n"
    assert progress.load()["00_test"]["7"]["right"]


@pytest.mark.parametrize("fails", ["folder", "write"])
def test_a_failing_disk_does_not_disturb_a_check(fails, tmp_path, monkeypatch, capsys):
    if fails == "folder":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path / "file"))
    else:
        monkeypatch.setattr(
            Path,
            "write_text",
            lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")),
        )
    assert said(capsys, small(), double) == "Exercise 7: right\n"
    small().hint()
    exercises.progress()

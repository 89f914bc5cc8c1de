"""`python -m tools.notebooks`: what it says of a failure, and that Ctrl-C ends it all."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools import notebooks

pytestmark = pytest.mark.slow


def test_a_failing_notebook_shows_its_cell_and_the_error_in_five_lines():
    old = nbformat.v4.new_output("stream", text="of an earlier run")
    sources = ["1", "a = 0\nb = 1\nc = b / a\nprint(c)", "print('not reached')"]
    book = new_notebook(cells=[new_code_cell(source, outputs=[old]) for source in sources])
    execution = notebooks.execute(book)
    assert execution.error.splitlines() == [
        "Cell 1 failed:",
        "    a = 0",
        "    b = 1",
        "    c = b / a",
        "ZeroDivisionError: division by zero",
    ]
    assert "FAILED" in execution.row("name")
    assert [cell.execution_count for cell in book.cells] == [1, 2, None]
    assert book.cells[2].outputs == []


def test_a_kernel_that_dies_is_a_failure_of_its_cell():
    book = new_notebook(cells=[new_code_cell("import os; os._exit(1)")])
    assert "The kernel died" in notebooks.execute(book).error


def test_the_peak_counts_what_the_kernel_and_its_processes_occupy():
    program = "import time; held = b'1' * 300_000_000; time.sleep(2)"
    source = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {program!r}])"
    execution = notebooks.execute(new_notebook(cells=[new_code_cell(source)]))
    assert execution.error == ""
    assert 330e6 < execution.peak_memory < 900e6


LONG_RUN = """
import signal
from nbformat.v4 import new_code_cell, new_notebook
from tools import notebooks

signal.signal(signal.SIGINT, signal.default_int_handler)
program = "import time; time.sleep(99)"
source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
notebooks.execute(new_notebook(cells=[new_code_cell(source), new_code_cell("1")]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_ends_the_kernel_and_what_it_started():
    run = subprocess.Popen([sys.executable, "-c", LONG_RUN], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    started = []
    while not any("time.sleep(99)" in " ".join(process.cmdline()) for process in started):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        started = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert b"KeyboardInterrupt" in told
    assert psutil.wait_procs(started, timeout=10)[1] == []

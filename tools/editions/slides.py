"""For the projector: slides that show figures first, large and alone.

Only a text that asks for a prediction comes before its figure. On the next slide is the text,
its first paragraph and its lists, with the code and what it printed. Other paragraphs and long
code are notes for the speaker.
"""

from __future__ import annotations

import base64
import html
import importlib.resources
import io
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.editions.lesson import CHECK, Step, steps

FORMULA = re.compile(r"`[^`]*`|\$\$?([^$]+)\$\$?")
PREDICT = re.compile(r"\b[Pp]redict")
LIST = re.compile(r"[-*|>] |\d+\. ")
LINES = 16  # of code that a slide has room for


def deck(book: NotebookNode) -> NotebookNode:
    """Return a notebook whose metadata say what is a slide, and of which kind."""
    slides = new_notebook(metadata=book.metadata)
    for step in steps(book):
        slides.cells += slides_of(step)
    for number, cell in enumerate(slides.cells):
        cell.id = f"slide-{number}"
    return slides


def slides_of(step: Step) -> list[NotebookNode]:
    """Return the slides of a text and the code below it."""
    heading = f"{step.heading}\n\n" if step.opens else ""
    if step.heading == "## References":
        return [slide(heading + step.text, "notes")]
    is_title = step.heading.startswith("# ")
    whole = is_title or step.heading.startswith("### Exercise")
    shown, spoken = shared_out(step.text, whole)
    code = None if is_title else step.code  # that is the setup cell, which shows nothing
    drawn = figures(code) if code else []
    if drawn and not PREDICT.search(shown):
        parts = [heading + drawn[0], *drawn[1:], shown]
    else:
        parts = [heading + shown, *drawn]
    cells = [slide(part) for part in parts if part]
    if step.opens and not step.heading.startswith("### "):
        cells[0].metadata = slide_type("slide")
    if spoken:
        cells.append(slide(spoken, "notes"))
    if code and not CHECK.fullmatch(code.source.strip()):
        ends_with_text = parts[-1] not in ["", *drawn]
        cells += slides_of_code(code, ends_with_text)
    return cells


def slides_of_code(code: NotebookNode, below_text: bool) -> list[NotebookNode]:
    """Return the slide of code and what it printed; long code is for the speaker."""
    printed = [output for output in code.outputs if not is_figure(output)]
    source = code.source
    notes = []
    if len(source.splitlines()) > LINES:
        notes = [slide(f"```python\n{source}\n```", "notes")]
        source = ""
    if not source and not printed:
        return notes
    text = "".join(output.get("text", "") for output in printed)
    lines = len(source.splitlines()) + len(text.splitlines())
    kind = "-" if below_text and lines <= LINES else "subslide"  # "-": on the slide before
    shown = new_code_cell(source, outputs=printed)
    shown.metadata = slide_type(kind)
    return [shown, *notes]


def shared_out(text: str, whole: bool) -> tuple[str, str]:
    """Return what is shown of a text, and what is left to the speaker."""
    shown, spoken = [], []
    for number, block in enumerate(re.split(r"\n\s*\n", text)):
        catches_the_eye = LIST.match(block) or PREDICT.search(block)
        on_slide = whole or number == 0 or catches_the_eye
        if on_slide and ".hint()" not in block:
            shown.append(block)
        else:
            spoken.append(block)
    return with_formulas("\n\n".join(shown)), "\n\n".join(spoken)


def with_formulas(text: str) -> str:
    """Return a text with its formulas drawn; what stands between backticks is none."""

    def drawn(found: re.Match) -> str:
        code_or_formula, tex = found.group(0, 1)
        return formula(tex) if tex else code_or_formula

    return FORMULA.sub(drawn, text)


def formula(tex: str) -> str:
    """Return a formula as a picture inside the text, as MathJax would have to be fetched."""
    from matplotlib import mathtext, rc_context
    from matplotlib.font_manager import FontProperties

    size = 10
    font = FontProperties(size=size)
    line = f"${tex}$".replace("\n", " ")
    file = io.StringIO()
    with rc_context({"svg.hashsalt": "slides", "mathtext.fontset": "cm"}):
        depth = mathtext.math_to_image(line, file, font, dpi=72, format="svg")
    svg = re.sub(r"(?s)<metadata>.*?</metadata>", "", file.getvalue())
    height = float(re.search(r'height="([\d.]+)pt"', svg)[1])
    height_em = height / size
    depth_em = depth / size
    style = f"height:{height_em:.2f}em;vertical-align:-{depth_em:.2f}em"
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" style="{style}" alt="{tex}">'


def is_figure(output: NotebookNode) -> bool:
    return "image/png" in output.get("data", {})


def figures(code: NotebookNode) -> list[str]:
    """Return the figures that a code cell drew, as HTML with their alt text."""
    found = []
    for output in filter(is_figure, code.outputs):
        picture = "".join(output.data["image/png"].split())
        alt = html.escape(output.metadata["image/png"]["alt"])
        found.append(f'<img class="figure" src="data:image/png;base64,{picture}" alt="{alt}">')
    return found


def slide(text: str, kind: str = "subslide") -> NotebookNode:
    return new_markdown_cell(text, metadata=slide_type(kind))


def slide_type(kind: str) -> NotebookNode:
    return nbformat.from_dict({"slideshow": {"slide_type": kind}})


def presented(slides: NotebookNode, name: str) -> str:
    """Return a deck as one HTML file that needs no network: `sphinx_revealjs` has reveal.js."""
    from nbconvert import SlidesExporter

    reveal = importlib.resources.files("sphinx_revealjs") / "_static" / "revealjs"
    exporter = SlidesExporter(
        template_name="slides",
        extra_template_basedirs=[str(Path(__file__).resolve().parents[1])],
        extra_template_paths=[str(reveal)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    page, _ = exporter.from_notebook_node(slides, {"metadata": {"name": name}})
    return page

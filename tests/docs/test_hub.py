"""docs/hub.md and environment.yml: what repo2docker accepts; what the page names is there."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from helpers.runtime import PROFILES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def blocks(language: str) -> list[str]:
    """Return the page's code blocks of one language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE)


def test_repo2docker_reads_environment_yml_in_the_root():
    """A folder named binder would hide it, and so would files that repo2docker prefers."""
    for other in (
        "binder",
        ".binder",
        "Dockerfile",
        "postBuild",
        "start",
        "apt.txt",
        "runtime.txt",
    ):
        assert not (ROOT / other).exists(), f"docs/hub.md says nothing of {other}"
    assert set(ENVIRONMENT) <= {"name", "channels", "dependencies"}, (
        "prefix and variables are ignored or refused"
    )
    assert ENVIRONMENT["channels"] == ["conda-forge"]


def test_its_dependencies_are_plain():
    conda = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    # repo2docker chooses its base from this line, and reads no comparison but "=".
    assert re.fullmatch(r"python=3\.\d+", conda[0])
    assert "pip" in conda, (
        "conda warns, and may install into another environment, if pip is not asked for"
    )
    assert list(pip) == ["pip"]


def test_what_pip_installs_from_the_repository_is_there():
    """Local lines make repo2docker copy the repository first; paths start at its root."""
    (pip,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    local = [line.split(maxsplit=1) for line in pip]
    assert [option for option, _ in local] == ["-c", "-e"]
    for _, path in local:
        path = re.sub(r"\[.*\]$", "", path)
        assert (ROOT / path).exists()
        assert not Path(path).is_absolute()
    assert (ROOT / local[1][1].removesuffix("[lab]") / "pyproject.toml").is_file()


def test_the_pages_links_open_notebooks_that_exist():
    links = re.findall(r"https://\S+urlpath=\S+", PAGE)
    assert len(links) == 2
    for link in links:
        path = parse_qs(urlsplit(link).query)["urlpath"][0]
        folder = re.sub(r"^lab/tree/(tf-vision-course/)?", "", path)
        assert (ROOT / folder).is_file(), path
    assert parse_qs(urlsplit(links[1]).query)["branch"] == ["main"]
    for target in re.findall(r"\]\((\.\./[^)#]*)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_the_pages_configuration_is_yaml_that_the_course_heeds():
    settings = [yaml.safe_load(block) for block in blocks("yaml")]
    assert len(settings) == 2
    names = {
        name: value
        for setting in settings
        for name, value in setting["singleuser"]["extraEnv"].items()
    }
    assert all(isinstance(value, str) for value in names.values()), "the environment holds text"
    assert names["COURSE_PROFILE"] in PROFILES
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "helpers").glob("*.py")
    )
    for name in names.keys() - {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}:
        assert f'"{name}"' in source, f"the course does not read {name}"
    mounted = settings[1]["singleuser"]["storage"]["extraVolumeMounts"][0]["mountPath"]
    assert names["KERAS_HOME"].startswith(mounted)
    assert names["COURSE_DATA"].startswith(mounted)


@pytest.mark.slow
def test_the_memory_limit_holds_the_server_and_the_largest_kernel_and_the_command_exists():
    (command,) = set(re.findall(r"benchmarks/\w+\.py", "".join(blocks("sh"))))
    result = subprocess.run(
        [sys.executable, ROOT / command, "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    rows = dict(re.findall(r"(?m)^\| ([\w ]+?) +\| +([\d,]+) +\|$", PAGE))
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert set(rows) - {"server at rest"} == notebooks
    highest = max(
        int(taken.replace(",", "")) for name, taken in rows.items() if name in notebooks
    )
    limit = yaml.safe_load(blocks("yaml")[0])["singleuser"]["memory"]["limit"]
    assert (
        highest + int(rows["server at rest"].replace(",", ""))
        < int(limit.removesuffix("G")) * 1000
    )

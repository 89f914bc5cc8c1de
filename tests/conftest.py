"""Shared fixtures. The environment is set here because TensorFlow reads it once, at import."""

import os
from pathlib import Path

import pytest

os.environ.update(
    TF_CPP_MIN_LOG_LEVEL="3",
    TF_ENABLE_ONEDNN_OPTS="0",
    MPLBACKEND="agg",
    CUDA_VISIBLE_DEVICES="-1",
)
for name in ("COURSE_DATA", "COURSE_PROFILE", "COURSE_OUTPUT", "COURSE_DOWNLOAD"):
    os.environ.pop(name, None)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Real photographs, Fashion-MNIST and ImageNet weights, kept outside the project."""
    folder = Path(os.environ.get("COURSE_REALDATA", ROOT.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set COURSE_REALDATA)")
    return folder

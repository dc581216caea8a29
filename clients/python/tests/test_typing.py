"""Programs that are checked with mypy see the types, also without asyncio."""

from __future__ import annotations

from pathlib import Path

from mypy import api


def test_the_types_reach_programs() -> None:
    here = Path(__file__).resolve().parent
    report, problems, status = api.run(
        [
            "--strict",
            "--config-file",
            str(here.parent / "pyproject.toml"),
            str(here / "typed_use.py"),
        ]
    )
    assert status == 0, report + problems

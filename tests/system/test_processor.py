"""The processor is named by what distinguishes its type, wherever the system says it."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from acexp.runs import run_directory
from acexp.system.processor import processor

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: fpu avx2

processor\t: 1
cpu family\t: 26
model\t\t: 18
model name\t: another
"""

ARM = """processor\t: 0
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, "AMD EPYC, cpu family 25, model 17"),
        (ARM, "aarch64, CPU implementer 0x41, CPU part 0xd0c"),
        ("", "aarch64"),
    ],
    ids=["x86", "ARM", "nothing"],
)
def test_linux_says_the_type_of_the_first_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (tmp_path / "cpuinfo").write_text(text)
    assert processor(tmp_path / "cpuinfo") == expected


def test_other_systems_say_what_python_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor(tmp_path / "none") == "arm64"
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor(tmp_path / "none") == "arm"


def test_a_run_records_its_processor(tmp_path: Path) -> None:
    run_directory.begin(tmp_path / "run", "", "identity", torch_threads=1)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["processor"] == processor()

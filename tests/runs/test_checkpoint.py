"""Whatever happens while a checkpoint is written or afterwards, a whole one is read or an error is reported."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from acexp.commands.resume import resume
from acexp.config.application import compose
from acexp.core.errors import UserError
from acexp.runs import checkpoint, manifest, runner
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import read_status


def content(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.full((1000,), float(step))}


def read_step(directory: Path) -> int:
    found = checkpoint.read(directory)
    assert found is not None
    assert (found["weights"] == found["step"]).all()
    return int(found["step"])


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path) is None
    for step in (10, 20, 30):
        checkpoint.write(tmp_path, content(step), step)
        assert read_step(tmp_path) == step
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.json",
        "checkpoint.previous.pt",
        "checkpoint.pt",
    ]
    (tmp_path / "checkpoint.pt").unlink()
    assert read_step(tmp_path) == 20


class Crash(BaseException):
    """The machine stops here."""


def failing(real: Callable[..., Any], moment: str, count: int) -> Callable[..., Any]:
    """What crashes before or after its call with this number."""
    calls = 0

    def faulty(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and moment == "before":
            raise Crash
        result = real(*arguments, **options)
        if calls == count:
            raise Crash
        return result

    return faulty


FAULTS = [(os, "fsync", "before", n) for n in range(1, 5)] + [(os, "fsync", "after", n) for n in range(1, 5)]
FAULTS += [(Path, "replace", "before", n) for n in range(1, 4)] + [(Path, "replace", "after", n) for n in range(1, 4)]
FAULTS += [(Path, "open", "before", n) for n in range(1, 5)]


@pytest.mark.parametrize(("module", "name", "moment", "count"), FAULTS, ids=[f"{m} {n} {c}" for _, n, m, c in FAULTS])
def test_a_crash_at_any_moment_leaves_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, moment: str, count: int
) -> None:
    for step in (10, 20):
        checkpoint.write(tmp_path, content(step), step)
    faulty = failing(getattr(module, name), moment, count)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, faulty)
        with pytest.raises(Crash):
            checkpoint.write(tmp_path, content(30), 30)
    assert read_step(tmp_path) in (20, 30)
    checkpoint.write(tmp_path, content(40), 40)
    assert read_step(tmp_path) == 40
    checkpoint.write(tmp_path, content(50), 50)
    assert read_step(tmp_path) == 50


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_crash_in_the_first_one_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, count: int
) -> None:
    """It used to leave one that nothing vouched for, and the run could not be resumed."""
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", failing(Path.replace, moment, count))
        with pytest.raises(Crash):
            checkpoint.write(tmp_path, content(10), 10)
    found = checkpoint.read(tmp_path)
    assert found is None or found["step"] == 10
    checkpoint.write(tmp_path, content(20), 20)
    assert read_step(tmp_path) == 20


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.write(tmp_path, content(10), 10)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.write(tmp_path, content(20), 20)
    assert read_step(tmp_path) == 10
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", ["checkpoint.pt.tmp", "checkpoint.json.tmp"])
def test_a_device_that_is_really_full(tmp_path: Path, name: str) -> None:
    checkpoint.write(tmp_path, content(10), 10)
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(tmp_path, content(20), 20)
    assert read_step(tmp_path) == 10
    checkpoint.write(tmp_path, content(30), 30)
    assert read_step(tmp_path) == 30


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [flip, lambda data: data[:-100], lambda data: b""], ids=["flipped", "short", "empty"]
)
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    for step in (10, 20):
        checkpoint.write(tmp_path, content(step), step)
    newest = tmp_path / "checkpoint.pt"
    newest.write_bytes(damage(newest.read_bytes()))
    assert read_step(tmp_path) == 10
    previous = tmp_path / "checkpoint.previous.pt"
    previous.write_bytes(damage(previous.read_bytes()))
    with pytest.raises(UserError, match="No checkpoint here is whole"):
        checkpoint.read(tmp_path)
    assert newest.exists()
    assert previous.exists(), "nothing is destroyed"


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"sha256": 3}'], ids=["none", "empty", "a list", "a number"])
def test_without_a_manifest_nothing_is_trusted(tmp_path: Path, manifest: str | None) -> None:
    checkpoint.write(tmp_path, content(10), 10)
    path = tmp_path / "checkpoint.json"
    path.unlink() if manifest is None else path.write_text(manifest)
    with pytest.raises(UserError, match="No checkpoint here is whole"):
        checkpoint.read(tmp_path)


def test_a_damaged_newest_is_not_kept_as_the_previous(tmp_path: Path) -> None:
    for step in (10, 20):
        checkpoint.write(tmp_path, content(step), step)
    (tmp_path / "checkpoint.pt").write_bytes(b"rubbish")
    checkpoint.write(tmp_path, content(30), 30)
    assert read_step(tmp_path) == 30
    (tmp_path / "checkpoint.pt").write_bytes(b"rubbish again")
    assert read_step(tmp_path) == 10


class Malicious:
    """Content that an attacker may have put into a run directory, with a manifest that fits."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def test_no_code_from_a_checkpoint_is_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for data in (pickle.dumps(Malicious(victim)), _saved(Malicious(victim), tmp_path)):
        (tmp_path / "checkpoint.pt").write_bytes(data)
        digest = manifest.digest(data)
        (tmp_path / "checkpoint.json").write_text(json.dumps({"sha256": {digest: 1}}))
        with pytest.raises(UserError, match="not one of acexp's"):
            checkpoint.read(tmp_path)
        assert not victim.exists()


def _saved(value: Any, folder: Path) -> bytes:
    torch.save({"step": value}, folder / "crafted")
    return (folder / "crafted").read_bytes()


def test_a_command_reads_and_hashes_a_checkpoint_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it writes the next one, before which it makes sure that the file which it keeps is intact."""
    settings = ["env=cliffwalking", "arch.hidden_sizes=[8]", "torch_threads=1", "total_steps=400"]
    run = Run(compose(settings), tmp_path / "run")
    runner.train([run], TrainOptions(until=200))
    hashed: list[int] = []
    before_writing: list[int] = []
    digest, write = manifest.digest, checkpoint.write

    def counting(data: bytes) -> str:
        hashed.append(len(data))
        return digest(data)

    def noting(*arguments: Any) -> None:
        before_writing.append(len(hashed))
        write(*arguments)

    monkeypatch.setattr(manifest, "digest", counting)
    monkeypatch.setattr(checkpoint, "write", noting)
    assert resume([str(run.directory)]) == 0
    assert before_writing[0] == 1
    assert read_status(run.directory)["resume"] == "exact"


def test_a_run_says_from_where_it_continues_and_that_its_newest_checkpoint_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["env=cliffwalking", "arch.hidden_sizes=[8]", "torch_threads=1", "total_steps=704"]
    run = Run(compose([*settings, "checkpoint.every=128"]), tmp_path / "run")
    runner.train([run], TrainOptions(until=256))
    assert resume([str(run.directory)]) == 0
    printed = capsys.readouterr().out
    assert "resume: from env step 256" in printed
    assert "damaged" not in printed

    steps = list(checkpoint.read_manifest(run.directory).steps.values())
    (run.directory / checkpoint.NEWEST).write_bytes(flip((run.directory / checkpoint.NEWEST).read_bytes()))
    path = run.directory / "status.json"
    path.write_text(path.read_text().replace('"done"', '"interrupted"'))
    (outcome,) = runner.train([run], TrainOptions(resume=True))
    assert outcome.notes[0] == (
        f"The newest checkpoint, of env step {steps[0]}, is damaged or incomplete: the run continued from the one "
        f"before it, of env step {steps[1]}."
    )

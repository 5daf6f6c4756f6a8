"""Whatever is wrong with an environment ends in words of acexp's own, which blame the environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.engines.contract import REWARD_RULE
from tests.engines.bad_environments import BEFORE, DURING, TRAINED, Case, code

Acexp = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ("env=gym", "env.id=bad:Bad-v0", "algo.n_envs=2", "algo.n_steps=4", "arch.hidden_sizes=[8]", "total_steps=160")


def train(acexp: Acexp, folder: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train in this environment; no traceback is shown, and no setting is blamed."""
    (folder / "bad.py").write_text(code(body))
    result = acexp(*SMALL, "seed=3", *arguments)
    for text in ("Traceback", "learning_rate", "diverged"):
        assert text not in result.stdout + result.stderr
    return result


@pytest.mark.parametrize("case", BEFORE.values(), ids=BEFORE)
def test_a_bad_environment_is_refused_before_anything_is_made(acexp: Acexp, tmp_path: Path, case: Case) -> None:
    result = train(acexp, tmp_path, case.body)
    assert result.returncode == 2, result.stdout + result.stderr
    for text in ("bad:Bad-v0", "remedy:", *case.said):
        assert text in result.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("case", DURING.values(), ids=DURING)
def test_a_fault_during_training_is_named_with_its_seed_and_step(acexp: Acexp, tmp_path: Path, case: Case) -> None:
    result = train(acexp, tmp_path, case.body, "hydra.run.dir=run")
    assert result.returncode == 1, result.stdout + result.stderr
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    for text in ("bad:Bad-v0", *case.said):
        assert text in result.stdout
        assert text in status["error"]


@pytest.mark.parametrize("case", TRAINED.values(), ids=TRAINED)
def test_what_is_no_fault_is_trained(acexp: Acexp, tmp_path: Path, case: Case) -> None:
    result = train(acexp, tmp_path, case.body)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "done: 160 env steps" in result.stdout
    for text in case.said:
        assert result.stdout.count(f"bad:Bad-v0: {text}") == 1
        assert result.stdout.index(text) < result.stdout.index("training for")
    assert ("bad:Bad-v0: its" in result.stdout) == bool(case.said)


def test_an_instance_that_cannot_be_made_beside_others_fails_the_run(acexp: Acexp, tmp_path: Path) -> None:
    """The fourth instance is the second of the check, the seventh the third of the run."""
    body = "def __init__(self): made.append(1); assert len(made) < {}"
    assert train(acexp, tmp_path, body.format(4)).returncode == 2
    assert not (tmp_path / "outputs").exists()
    later = train(acexp, tmp_path, body.format(7), "algo.n_envs=4", "hydra.run.dir=run")
    assert later.returncode == 1, later.stdout + later.stderr
    assert "cannot be made: AssertionError" in json.loads((tmp_path / "run" / "status.json").read_text())["error"]


def test_one_environment_is_never_asked_to_exist_beside_another(acexp: Acexp, tmp_path: Path) -> None:
    body = "def __init__(self): made.append(1); assert len(made) < 2\ndef close(self): made.pop()"
    assert train(acexp, tmp_path, body, "algo.n_envs=1").returncode == 0


def test_only_the_member_whose_environment_is_faulty_fails(acexp: Acexp, tmp_path: Path) -> None:
    """The first environment of a worker is the first member's."""
    body = (
        "def __init__(self): made.append(self)\nreward = lambda self: np.nan if self.late and self is made[0] else 1.0"
    )
    result = train(acexp, tmp_path, body, "-m", "seed=3,4,5", "hydra.launcher.processes=1", "name=three")
    assert result.returncode == 1, result.stdout + result.stderr
    found = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/three/*/status.json")
    }
    assert sorted(status["status"] for status in found.values()) == ["done", "done", "failed"]
    (error,) = [status["error"] for status in found.values() if status.get("error")]
    assert error.startswith("bad:Bad-v0, seed 3, env step 115: step() returned the reward nan")
    assert "bad:Bad-v0, seed 3, env step 115" in result.stdout


def test_a_sweep_probes_each_environment_once_and_is_refused_if_all_are_bad(acexp: Acexp, tmp_path: Path) -> None:
    body = (
        "def __init__(self, is_bad=True):\n"
        "    self.is_bad = is_bad\n"
        "    open('made', 'a').write('x')\n"
        "reward = lambda self: None if self.is_bad else 1.0"
    )
    for extra in ((), ("hydra/launcher=basic",), ("hydra/launcher=basic", "hydra/sweeper=basic")):
        refused = train(acexp, tmp_path, body, "-m", "seed=0,1,2", *extra)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "step() returned the reward None" in refused.stderr
        assert (tmp_path / "made").read_text() == "x"
        (tmp_path / "made").unlink()
        assert not (tmp_path / "outputs").exists()
    mixed = ("-m", "seed=0,1,2", "+env.kwargs.is_bad=true,false", "name=mixed")
    looked_at = train(acexp, tmp_path, body, *mixed, "hydra.launcher.dry_run=true")
    assert looked_at.returncode == 0, looked_at.stdout + looked_at.stderr
    assert (tmp_path / "made").read_text() == "xxx", "the bad one once, the good one twice"
    assert not (tmp_path / "outputs").exists()
    result = train(acexp, tmp_path, body, *mixed)
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stdout.count(f"step() returned the reward None; {REWARD_RULE}; its runs will fail.") == 1
    found = [json.loads(path.read_text())["status"] for path in tmp_path.glob("outputs/sweeps/mixed/*/status.json")]
    assert sorted(found) == ["done"] * 3 + ["failed"] * 3


def test_inspect_and_doctor_probe_too(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(code(BEFORE["reward None"].body))
    for command in ("inspect", "doctor"):
        refused = acexp(command, *SMALL)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "bad:Bad-v0: step() returned the reward None" in refused.stderr
    (tmp_path / "bad.py").write_text(code(TRAINED["noise of Python"].body))
    noisy = acexp("inspect", *SMALL)
    assert noisy.returncode == 0, noisy.stdout + noisy.stderr
    assert "its runs cannot be repeated" in noisy.stdout

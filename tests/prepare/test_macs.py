"""Peak calling with a program on the PATH that stands for MACS: what it is told, and what is made of what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from epinformer.errors import InputError
from epinformer.inputs.peaks import read_peaks
from epinformer.prepare.macs import call_peaks

# Does what MACS does with these arguments, and refuses any others.
FAKE = """#!{python}
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["callpeak"])
parser.add_argument("-t", nargs="+", required=True)
parser.add_argument("-n", required=True)
parser.add_argument("--outdir", required=True)
parser.add_argument("--keep-dup", choices=["all"], required=True)
for name in ("-f", "-g", "-p", "--shift", "--extsize"):
    parser.add_argument(name, required=True)
for name in ("--nomodel", "--call-summits"):
    parser.add_argument(name, action="store_true")
told = vars(parser.parse_args())
{more}
folder = pathlib.Path(told["outdir"])
folder.mkdir(exist_ok=True)
(folder / "told.json").write_text(json.dumps(told | {{"program": pathlib.Path(sys.argv[0]).name}}))
row = ["chr1", "100", "400", "macs2_peak_1", "53", ".", "2.9", "5.3", "3.3", "150"]
(folder / (told["n"] + "_peaks.narrowPeak")).write_text("\\t".join(row) + "\\n")
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, more: str = "") -> None:
    path = folder / name
    path.write_text(FAKE.format(python=sys.executable, more=more))
    path.chmod(0o755)


def reads(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).write_text("chr1\t1\t37\n")
    return [tmp_path / name for name in names]


@pytest.mark.parametrize("installed", [["macs3"], ["macs2"], ["macs2", "macs3"]])
def test_the_program_is_told_what_the_abc_pipeline_tells_it(
    programs: Path, tmp_path: Path, installed: list[str]
) -> None:
    for name in installed:
        install(programs, name)
    files = reads(tmp_path, "one; touch oops.bam", "two $HOME.bam")
    peaks = call_peaks(files, "hs", tmp_path / "peaks")
    assert peaks == tmp_path / "peaks" / "macs2_peaks.narrowPeak"
    told = json.loads((tmp_path / "peaks" / "told.json").read_text())
    assert told.pop("program") == installed[-1]
    assert told == {
        "command": "callpeak",
        "t": [str(path) for path in files],
        "n": "macs2",
        "outdir": str(tmp_path / "peaks"),
        "keep_dup": "all",
        "f": "AUTO",
        "g": "hs",
        "p": "0.1",
        "shift": "-75",
        "extsize": "150",
        "nomodel": True,
        "call_summits": True,
    }
    assert read_peaks(peaks)["summit"].tolist() == [250]


def test_neither_program_is_there(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.bam: .*neither macs3 nor macs2 .* Install .* elements\.peaks"):
        call_peaks(reads(tmp_path, "a.bam"), "hs", tmp_path / "peaks")


def test_what_a_failing_program_said_is_shown(programs: Path, tmp_path: Path) -> None:
    lines = r"Traceback\nINFO  @ reading tags\nOSError: a.bam is no BAM\n\n"
    install(programs, "macs3", f'sys.stderr.write("{lines}"); sys.exit(3)')
    with pytest.raises(InputError, match=r"a\.bam: macs3 ended with code 3: .* OSError: a\.bam is no BAM\. Check"):
        call_peaks(reads(tmp_path, "a.bam"), "hs", tmp_path / "peaks")
    install(programs, "macs3", "sys.exit(1)")
    with pytest.raises(InputError, match="ended with code 1: it said nothing"):
        call_peaks(reads(tmp_path, "a.bam"), "hs", tmp_path / "peaks")


def test_a_program_that_writes_nothing(programs: Path, tmp_path: Path) -> None:
    install(programs, "macs3", 'print("0 peaks", file=sys.stderr); sys.exit(0)')
    with pytest.raises(InputError, match="macs3 wrote no narrowPeak file: 0 peaks"):
        call_peaks(reads(tmp_path, "a.bam"), "hs", tmp_path / "peaks")


def test_a_program_that_cannot_be_run(programs: Path, tmp_path: Path) -> None:
    path = programs / "macs3"
    path.write_text("#!/nowhere/python\n")
    path.chmod(0o755)
    with pytest.raises(InputError, match=r"macs3: cannot be run: No such file"):
        call_peaks(reads(tmp_path, "a.bam"), "hs", tmp_path / "peaks")


def test_reads_that_macs_cannot_open(programs: Path, tmp_path: Path) -> None:
    install(programs, "macs3")
    path = tmp_path / "a.cram"
    path.write_bytes(b"CRAM\x03\x00")
    with pytest.raises(InputError, match=r"a\.cram: .*MACS does not read CRAM\. Convert"):
        call_peaks([path], "hs", tmp_path / "peaks")
    with pytest.raises(InputError, match=r"b\.bam: cannot be read: No such file"):
        call_peaks([tmp_path / "b.bam"], "hs", tmp_path / "peaks")

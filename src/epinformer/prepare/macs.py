"""Peaks called with MACS, where its program is installed."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from epinformer.errors import InputError

logger = logging.getLogger(__name__)

# The preferred one first; both take the same arguments.
_PROGRAMS = ("macs3", "macs2")
_NAME = "macs2"
_SHOWN_LINES = 5


def call_peaks(reads: Sequence[Path], genome_size: str, folder: Path) -> Path:
    """Call peaks of accessibility as the activity-by-contact pipeline does (Fulco et al. 2019, its release 1).

    Lenient peaks (p below 0.1) with all their summits: every read counts with the 150 bp around its 5' end, duplicates
    too.

    Parameters
    ----------
    reads
        BAM, or BED such as tagAlign, plain or gzipped, all of one kind; together they give one set of peaks.
    genome_size
        Mappable size as MACS takes it: `hs`, `mm` or a number of bp.
    folder
        Where MACS writes; made if it is not there.

    Returns
    -------
    Path
        The narrowPeak file.

    Raises
    ------
    InputError
        Neither macs3 nor macs2 is on the PATH, a file is CRAM, or the program fails; what it says is shown.
    """
    found = [program for program in map(shutil.which, _PROGRAMS) if program is not None]
    if not found:
        raise InputError(
            "peaks cannot be called: neither macs3 nor macs2 is on the PATH",
            source=reads[0],
            fix="Install one of them (pip install macs3), or give a narrowPeak file as elements.peaks",
        )
    for path in reads:
        _refuse_cram(path)
    command = [found[0], "callpeak", "-f", "AUTO", "-g", genome_size, "-p", "0.1", "-n", _NAME]
    command += ["--shift", "-75", "--extsize", "150", "--nomodel", "--keep-dup", "all", "--call-summits"]
    command += ["--outdir", str(folder), "-t", *(str(path) for path in reads)]
    logger.info("%s calls peaks of %s", Path(found[0]).name, ", ".join(path.name for path in reads))
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(
            f"cannot be run: {error.strerror}", source=found[0], fix="Install it anew, or give elements.peaks"
        ) from error
    logger.debug("%s", ended.stderr)
    peaks = folder / f"{_NAME}_peaks.narrowPeak"
    if ended.returncode != 0 or not peaks.is_file():
        said = [line.strip() for line in ended.stderr.splitlines() if line.strip()][-_SHOWN_LINES:]
        outcome = f"ended with code {ended.returncode}" if ended.returncode else "wrote no narrowPeak file"
        raise InputError(
            f"{Path(found[0]).name} {outcome}: {' / '.join(said) or 'it said nothing'}",
            source=reads[0],
            fix="Check the reads, or call peaks yourself and give them as elements.peaks",
        )
    return peaks


def _refuse_cram(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=path, fix="Check its name") from error
    if start == b"CRAM":
        raise InputError(
            "peaks cannot be called: MACS does not read CRAM",
            source=path,
            fix="Convert it to BAM (samtools view -b), or give elements.peaks",
        )

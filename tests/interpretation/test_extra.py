from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epinformer.errors import EpinformerError
from epinformer.interpretation.extra import needed
from epinformer.model.checkpoint import save_model
from tests.variant_world import activity_model, make_world


def test_gives_the_module() -> None:
    assert needed("json.decoder", "reading").JSONDecoder is not None


def test_says_which_extra_to_install() -> None:
    with pytest.raises(EpinformerError) as caught:
        needed("no_such_package.part", "comparing motifs")
    assert str(caught.value) == (
        "comparing motifs needs the package no_such_package, which is not installed. "
        "Install it: pip install 'epinformer[interpret]'."
    )


def test_names_what_the_package_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "has_needs.py").write_text("import no_such_package.part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EpinformerError, match="has_needs, which in turn needs no_such_package, which is not installed"):
        needed("has_needs", "this")


# A process of its own, in which the packages of the extra cannot be imported.
WITHOUT = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tangermeme", "modiscolite", "memelite", "pyjaspar", "logomaker", "numba", "Bio"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
from epinformer.cli.main import main
sys.argv[0] = "epinformer"
main()
"""


def without_the_extra(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, timeout=500)


def test_mutagenesis_works_without_the_extra_and_the_rest_says_what_to_install(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    model = activity_model()
    save_model(model.model, tmp_path / "act.model", model.info)
    (tmp_path / "one.bed").write_text("chr22\t4300\t4700\tone\n")
    common = ["--model", str(tmp_path / "act.model"), "--genome", str(world.fasta)]
    common += ["--regions", str(tmp_path / "one.bed"), "--device", "cpu"]
    done = without_the_extra("explain", *common, "--method", "ism", "-o", str(tmp_path / "ism"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ism" / "attributions.h5").exists()
    for arguments, needs in (
        (["explain", *common, "-o", str(tmp_path / "deeplift")], "tangermeme"),
        (["motifs", str(tmp_path / "ism"), "-o", str(tmp_path / "motifs")], "pyjaspar"),
    ):
        done = without_the_extra(*arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        last = done.stderr.splitlines()[-1]
        assert needs in last and "Install it: pip install 'epinformer[interpret]'." in last
        assert not Path(arguments[-1]).exists()

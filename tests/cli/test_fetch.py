"""`epinformer fetch`, from a folder served on this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from epinformer.cli.main import app

CONTENT = {"a.bam": b"reads" * 300, "b.bed": b"chr1\t1\t2\n"}


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry of two files that are served, and one that is not; the packaged one is away."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("epinformer.fetch.download.Patience.__new__.__defaults__", (30.0, 1, 0.0, 0.0, 1.0))
    served = tmp_path / "served"
    served.mkdir()
    for name, content in CONTENT.items():
        (served / name).write_bytes(content)

    def handler(*arguments: object) -> _Handler:
        return _Handler(*arguments, directory=str(served))  # type: ignore[arg-type]

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # Of a connection that the client has done with; it would speak in the middle of the command's own words.
        server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        address = f"http://127.0.0.1:{server.server_address[1]}"
        files = {
            name: {"file": name, "what": f"the [bold]{name}", "url": f"{address}/{name}", "source": "here"}
            for name in (*CONTENT, "gone.txt")
        }
        files["a.bam"] |= {"size": 1500, "md5": hashlib.md5(CONTENT["a.bam"]).hexdigest()}
        sets = {"both": {"what": "what there is", "files": list(CONTENT)}}
        path = tmp_path / "registry.yaml"
        path.write_text(yaml.safe_dump({"sets": sets, "files": files}))
        from epinformer.fetch import registry as module

        read = module.read_registry
        monkeypatch.setattr(module, "read_registry", lambda: read(path))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fetch", *arguments])


def rows(text: str) -> list[list[str]]:
    """Lines of tables, as words."""
    return [line.split() for line in text.splitlines()]


def test_the_packaged_list() -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    words = rows(result.stdout)
    assert ["Sets"] in words and ["Files"] in words
    assert next(row for row in words if row[:1] == ["reference"])[-4:] == ["983.7", "MB", "+", "?"]
    assert next(row for row in words if row[:1] == ["hg38"])[-4:] == ["md5,", "sha256", "983.7", "MB"]
    assert not any(line.endswith(" ") for line in result.stdout.splitlines())


def test_a_set_is_downloaded_and_then_there(registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    result = run("both", "-o", str(folder))
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{folder}: 2 files, 1.5 kB downloaded" in result.stderr
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert sorted(json.loads((folder / "fetched.json").read_text())) == ["a.bam", "b.bed"]
    shutil.rmtree(registry)
    result = run("both", "A.BAM", "-o", str(folder))
    assert result.exit_code == 0
    assert f"{folder}: 2 files, 0 B downloaded" in result.stderr


def test_a_dry_run_writes_nothing(registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    result = run("both", "gone.txt", "-o", str(folder), "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert not folder.exists()
    words = rows(result.stdout)
    assert ["a.bam", "a.bam", "missing", "download", "0", "B", "1.5", "kB"] in words
    assert ["b.bed", "b.bed", "missing", "download", "0", "B", "9", "B"] in words
    assert ["gone.txt", "gone.txt", "missing", "download", "0", "B", "?"] in words
    assert result.stdout.splitlines()[-1].startswith("3 files to download: 1.5 kB and 1 file of unknown length; ")


@pytest.mark.parametrize(("overwrite", "then", "count"), [(False, "error", "1 file"), (True, "download", "2 files")])
def test_a_dry_run_says_what_is_wrong(registry: Path, tmp_path: Path, overwrite: bool, then: str, count: str) -> None:
    (tmp_path / "a.bam").write_bytes(b"bad")
    options = ["--overwrite"] if overwrite else []
    result = run("both", "-o", str(tmp_path), "--dry-run", *options)
    row = next(row for row in rows(result.stdout) if row[:1] == ["a.bam"])
    assert " ".join(row) == f"a.bam a.bam bad: has 3 bytes, and 1,500 are published {then} 3 B 1.5 kB"
    assert f"{count} to download" in result.stdout


def test_a_dry_run_fails_without_room(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr("epinformer.fetch.part.shutil.disk_usage", lambda path: usage)
    result = run("a.bam", "-o", str(tmp_path), "--dry-run")
    assert result.exit_code == 1
    assert "1,500 bytes are still to come, and the disk has 100 free" in result.stderr


def test_failures_are_one_line_each(registry: Path, tmp_path: Path) -> None:
    result = run("gone.txt", "-o", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: http://127.0.0.1:")
    assert "/gone.txt: cannot be downloaded: the server answers 404" in result.stderr
    assert result.stderr.count("\n") == 1
    (tmp_path / "data" / "a.bam").write_bytes(b"bad")
    result = run("a.bam", "-o", str(tmp_path / "data"))
    assert "it is kept. Remove it or pass --overwrite" in result.stderr
    assert run("a.bam", "-o", str(tmp_path / "data"), "--overwrite").exit_code == 0


def test_wrong_usage() -> None:
    result = run("k562")
    assert result.exit_code == 2
    assert "say where the files go: -o FOLDER" in result.stderr
    result = run("k526", "-o", "data")
    assert (result.exit_code, result.stderr[:44]) == (1, "error: no such set or file; did you mean k56")

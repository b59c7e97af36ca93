"""The list of published files: its rules, and what it holds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from epinformer.errors import ConfigError, FetchError
from epinformer.fetch.registry import allowed, chosen, read_registry

ENTRY: dict[str, Any] = {
    "file": "a.bam",
    "what": "reads",
    "url": "https://example.org/a.bam",
    "page": "https://example.org/a",
    "size": 12,
    "md5": "0" * 32,
    "sha256": "f" * 64,
    "source": "its page",
}
BARE = {"file": "b.bed", "what": "peaks", "url": "https://example.org/b", "source": "its page"}
SETS = {"one": {"what": "all", "files": ["A", "b"]}, "two": {"what": "half", "files": ["b"]}}


def written(path: Path, changes: dict[str, Any] | None = None, **sets: Any) -> Path:
    """A registry of two files, the first of them changed; None leaves a fact out."""
    first = {key: value for key, value in (ENTRY | (changes or {})).items() if value is not None}
    content = {"sets": copy.deepcopy(SETS) | sets, "files": {"A": first, "b": BARE}}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.yaml"


def test_a_registry_is_read(path: Path) -> None:
    registry = read_registry(written(path))
    assert registry.files["A"].model_dump() == ENTRY
    assert registry.files["A"].has_checksum
    assert not registry.files["b"].has_checksum
    assert registry.sets["one"].files == ("A", "b")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://example.org/a"}, "files.A.url: http://example.org/a is not an address that begins with https"),
        ({"url": "ftp://example.org/a"}, "files.A.url: ftp://example.org/a is not an address"),
        ({"url": "file:///etc/passwd"}, "files.A.url: file:///etc/passwd is not an address"),
        ({"url": "https:///a"}, "files.A.url: https:///a is not an address"),
        ({"url": "https://example.org/a b"}, "is not an address"),
        ({"url": "https://[bad/a"}, "is not an address"),
        ({"url": None}, "files.A.url: is missing; add it"),
        ({"page": "http://example.org/a"}, "files.A.page: "),
        ({"source": None}, "files.A.source: is missing; add it"),
        ({"md5": "abc"}, "files.A.md5: "),
        ({"md5": "G" * 32}, "files.A.md5: "),
        ({"sha256": "f" * 32}, "files.A.sha256: "),
        ({"size": 0}, "files.A.size: "),
        ({"size": "much"}, "files.A.size: "),
        ({"file": "../a.bam"}, "files.A.file: '../a.bam' is no name for a file"),
        ({"file": "/etc/a"}, "is no name for a file"),
        ({"file": ".hidden"}, "is no name for a file"),
        ({"file": "a.part"}, "is no name for a file"),
        ({"file": "fetched.json"}, "is no name for a file"),
        ({"file": "B.bed"}, "two files would be b.bed on disk"),
        ({"mdfive": "x"}, "files.A.mdfive: is not a setting"),
    ],
)
def test_a_wrong_entry_is_told(path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_registry(written(path, changes))
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"three": {"what": "x", "files": []}}, "sets.three.files: "),
        ({"three": {"what": "x", "files": ["b", "b"]}}, "names b twice"),
        ({"three": {"what": "x", "files": ["bb"]}}, "sets.three: bb is not among the files; did you mean b?"),
        ({"a": {"what": "x", "files": ["b"]}}, "the name a is given twice"),
        ({"no name": {"what": "x", "files": ["b"]}}, "no name"),
    ],
)
def test_a_wrong_set_is_told(path: Path, sets: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_registry(written(path, **sets))
    assert words in str(raised.value)


def test_a_file_given_twice_is_told(path: Path) -> None:
    written(path)
    path.write_text(path.read_text().replace("  b:\n", "  A:\n"))
    with pytest.raises(ConfigError, match="the key `A` is given twice"):
        read_registry(path)


def test_no_registry(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_registry(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="holds no settings"):
        read_registry(path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["one"], ["A", "b"]),
        (["two", "one"], ["b", "A"]),
        (["ONE", "B"], ["A", "b"]),
        (["a"], ["A"]),
        ([], []),
    ],
)
def test_names_stand_for_files_once_each(path: Path, names: list[str], expected: list[str]) -> None:
    assert [name for name, _ in chosen(read_registry(written(path)), names)] == expected


def test_unknown_names_are_told(path: Path) -> None:
    with pytest.raises(FetchError) as raised:
        chosen(read_registry(written(path)), ["one", "tow", "nonsense"])
    assert str(raised.value) == (
        "no such set or file; did you mean two? (2 affected; first: tow). `epinformer fetch` alone lists what there is."
    )


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://example.org/a", True),
        ("http://localhost:80/a", True),
        ("http://127.0.0.1:1/a", True),
        ("http://[::1]:1/a", True),
        ("http://example.org/a", False),
        ("http://localhost.example.org/a", False),
        ("//example.org/a", False),
        ("", False),
    ],
)
def test_which_addresses_may_be_asked(url: str, may: bool) -> None:
    assert allowed(url) is may


def test_the_packaged_registry_keeps_its_promises() -> None:
    registry = read_registry()
    assert {"k562", "gm12878", "h1", "hepg2", "huvec", "nhek", "reference", "abc", "authors"} <= set(registry.sets)
    # The paper's data availability, in the published article.
    named = {
        "k562": {"ENCFF600THN", "ENCFF232RQF", "ENCFF704LGA", "4DNFITUOMFUQ", "CNhs11250"},
        "k562-dnase": {"ENCFF425WDA", "ENCFF205FNC"},
        "gm12878": {
            *("ENCFF020WZB", "ENCFF729UYK", "ENCFF269GKF", "ENCFF201OHW", "4DNFI1UEG1HD", "CNhs12333"),
        },
        "h1": {"ENCFF761ZRE", "ENCFF693IFG", "ENCFF860ABR"},
        "hepg2": {"ENCFF691HJY", "ENCFF745JCH", "ENCFF862NDZ", "ENCFF926NHE"},
        "huvec": {"ENCFF091KTX", "ENCFF374DGO", "ENCFF609TUB"},
        "nhek": {"ENCFF117RNM", "ENCFF051NTC", "ENCFF770JWP"},
    }
    for name, files in named.items():
        assert files <= set(registry.sets[name].files)
    in_sets = {file for members in registry.sets.values() for file in members.files}
    assert in_sets == set(registry.files)
    for name, entry in registry.files.items():
        assert entry.url.startswith("https://")
        if name.startswith("ENCFF"):
            assert entry.file.startswith(f"{name}.")
            assert entry.url == f"https://www.encodeproject.org/files/{name}/@@download/{entry.file}"


@pytest.mark.real_data
def test_what_abc_brings_is_what_was_read(shared_data: Path) -> None:
    """The checksums are of these files."""
    import hashlib

    registry = read_registry()
    for name in ("abc-quantiles", "abc-ubiquitous"):
        entry = registry.files[name]
        content = (shared_data / "abc_chr22" / entry.file).read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())

"""Downloads from a server on this machine that cuts, corrupts, stalls and changes its mind."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epinformer.errors import FetchError, OutputError
from epinformer.fetch.download import Outcome, examine, fetch_files, plan
from epinformer.fetch.registry import Entry, Wanted
from epinformer.fetch.transfer import Patience, Progress
from epinformer.files import locked

from .site import FIRST, SECOND, Seen, Site, serving

CONTENT = bytes(range(256)) * 4
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(stall=30, attempts=3, first_wait=0.01, longest_wait=0.05, lock=0.2)
# For a server that falls silent; it must not be shorter than what a busy machine takes to send what comes before.
SILENT = QUICK._replace(stall=1.5)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine knows nothing of this server."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(CONTENT) as running:
        yield running


def wanted(site: Site, **facts: Any) -> Wanted:
    return Wanted("one", Entry(**{"file": "one.bin", "what": "a file", "url": site.url, "source": "a test"} | facts))


def fetched(site: Site, folder: Path, *, overwrite: bool = False, patience: Patience = QUICK, **facts: Any) -> Outcome:
    return fetch_files([wanted(site, **facts)], folder, overwrite=overwrite, patience=patience)[0]


def names(folder: Path) -> list[str]:
    """What a user sees there."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def asked(site: Site) -> list[str | None]:
    return [seen.range for seen in site.seen]


@pytest.mark.parametrize("facts", [{}, {"md5": MD5}, {"sha256": SHA256}, {"md5": MD5, "sha256": SHA256, "size": 1024}])
def test_a_file_comes_whole_and_is_recorded(site: Site, tmp_path: Path, facts: dict[str, Any]) -> None:
    folder = tmp_path / "new" / "data"
    outcome = fetched(site, folder, **facts)
    assert (outcome.path, outcome.received, outcome.found.state) == (folder / "one.bin", 1024, "good")
    assert outcome.path.read_bytes() == CONTENT
    assert names(folder) == ["fetched.json", "one.bin"]
    record = json.loads((folder / "fetched.json").read_text())["one.bin"]
    assert (record["url"], record["size"], record["sha256"]) == (site.url, 1024, SHA256)
    assert record["date"].endswith("+00:00")
    assert site.seen == [Seen("/file", None, None)]


@pytest.mark.parametrize("facts", [{}, {"md5": MD5, "size": 1024}])
def test_a_good_file_is_not_asked_for_again(site: Site, tmp_path: Path, facts: dict[str, Any]) -> None:
    fetched(site, tmp_path, **facts)
    before = (tmp_path / "one.bin").stat()  # reading it to verify may move its time of access
    for overwrite in (False, True):
        outcome = fetched(site, tmp_path, overwrite=overwrite, **facts)
        assert (outcome.received, outcome.found.state) == (0, "good")
    assert len(site.seen) == 1
    after = (tmp_path / "one.bin").stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("fault", ["cut 300", "reset 300", "stall 300"])
def test_an_interrupted_download_goes_on_at_the_next_byte(site: Site, tmp_path: Path, fault: str) -> None:
    site.faults = [fault]
    outcome = fetched(site, tmp_path, patience=SILENT if fault.startswith("stall") else QUICK, md5=MD5)
    assert outcome.path.read_bytes() == CONTENT
    assert outcome.received == 1024
    assert site.seen[1] == Seen("/file", "bytes=300-", FIRST)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 400), max_size=6), st.booleans())
def test_wherever_it_is_cut(tmp_path_factory: pytest.TempPathFactory, cuts: list[int], within: bool) -> None:
    """Within one call or over several, every request asks for the byte after the last that came."""
    with serving(CONTENT) as site:
        folder = tmp_path_factory.mktemp("cut")
        site.faults = [f"cut {cut}" for cut in cuts]
        patience = QUICK._replace(first_wait=0, attempts=2 if within else 1)
        for _ in range(len(cuts) + 1):
            try:
                fetch_files([wanted(site, sha256=SHA256)], folder, patience=patience)
                break
            except FetchError:
                assert not within
        assert (folder / "one.bin").read_bytes() == CONTENT
        starts = [0]
        for cut in cuts:
            if starts[-1] + cut < 1024:
                starts.append(starts[-1] + cut)
            else:
                break
        assert [int((seen.range or "bytes=0-")[6:-1]) for seen in site.seen] == starts


def test_attempts_that_bring_something_do_not_count(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 100"] * 8
    assert fetched(site, tmp_path, md5=MD5).received == 1024
    assert asked(site)[-1] == "bytes=800-"


def test_it_gives_up_and_the_same_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 200", "503", "503", "503"]
    with pytest.raises(FetchError) as raised:
        fetched(site, tmp_path, md5=MD5)
    message = str(raised.value)
    assert message.startswith(f"{site.url}: cannot be downloaded: the server answers 503 Service Unavailable; given up")
    assert "after 3 attempts, 200 bytes are kept. The same command goes on where this one stopped." in message
    assert names(tmp_path) == ["one.bin.part", "one.bin.part.json"]
    assert fetched(site, tmp_path, md5=MD5).received == 824
    assert asked(site) == [None, *["bytes=200-"] * 4]
    assert names(tmp_path) == ["fetched.json", "one.bin"]


def test_a_server_that_is_silent_from_the_start(site: Site, tmp_path: Path) -> None:
    site.faults = ["stall 0"] * 3
    with pytest.raises(FetchError, match=r"nothing came for 0\.05 s; given up after 3 attempts, 0 bytes"):
        fetch_files([wanted(site)], tmp_path, patience=QUICK._replace(stall=0.05))


@pytest.mark.parametrize("fault", ["429", "500", "502", "503 0", "504", "drop"])
def test_passing_trouble_is_followed_by_another_attempt(site: Site, tmp_path: Path, fault: str) -> None:
    site.faults = [fault, fault]
    assert fetched(site, tmp_path, md5=MD5).received == 1024
    assert len(site.seen) == 3


def test_waits_double_and_a_server_may_name_its_own(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("epinformer.fetch.transfer.time.sleep", waits.append)
    site.faults = ["500", "500", "503 7", "500", "429 9999"]
    patience = Patience(stall=1, attempts=6, first_wait=2, longest_wait=10)
    fetch_files([wanted(site)], tmp_path, patience=patience)
    assert waits == [2, 4, 7, 10, 10]


@pytest.mark.parametrize(("code", "reason"), [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")])
def test_a_refusal_is_final_and_says_where_to_look(site: Site, tmp_path: Path, code: int, reason: str) -> None:
    site.faults = [str(code)]
    page = "https://example.org/one"
    with pytest.raises(FetchError) as raised:
        fetched(site, tmp_path, page=page)
    assert str(raised.value) == (
        f"{site.url}: cannot be downloaded: the server answers {code} {reason}. "
        f"Look at {page} and put the file into {tmp_path} as one.bin yourself."
    )
    assert len(site.seen) == 1
    assert names(tmp_path) == []


def test_nobody_listens(tmp_path: Path) -> None:
    gone = Site(CONTENT)
    # Nobody else can listen where a socket is bound.
    with socket.socket() as bound, pytest.raises(FetchError, match="Connection refused; given up after 3 attempts"):
        bound.bind(("127.0.0.1", 0))
        gone.port = bound.getsockname()[1]
        fetched(gone, tmp_path)


def test_a_server_without_ranges_sends_all_of_it_again(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 300", "whole"]
    outcome = fetched(site, tmp_path, md5=MD5)
    assert outcome.path.read_bytes() == CONTENT
    assert asked(site) == [None, "bytes=300-"]


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 300", "cut 0", "cut 0"]
    with pytest.raises(FetchError, match="the connection was cut after 300 of 1,024 bytes; given up after 3 attempts"):
        fetched(site, tmp_path)


def test_starting_anew_again_and_again_is_no_progress(site: Site, tmp_path: Path) -> None:
    """Bytes that came before, in a part that could not be used, are not new ones."""
    site.etag = None
    site.faults = ["cut 300", "cut 200"] * 10
    with pytest.raises(FetchError, match="given up after 3 attempts"):
        fetched(site, tmp_path)
    assert asked(site) == [None, None, None]


@pytest.mark.parametrize("fault", ["", "old"])
def test_a_new_version_is_not_glued_to_an_old_part(site: Site, tmp_path: Path, fault: str) -> None:
    """Whether the server heeds If-Range or, wrongly, sends the rest of the new version."""
    site.faults = ["cut 300", "503", "503"]
    with pytest.raises(FetchError):
        fetch_files([wanted(site)], tmp_path, patience=QUICK._replace(attempts=1))
    site.content, site.etag, site.faults = CONTENT[::-1], SECOND, [fault]
    outcome = fetched(site, tmp_path)
    assert outcome.path.read_bytes() == CONTENT[::-1]
    assert (site.seen[1].range, site.seen[1].if_range) == ("bytes=300-", FIRST)


def test_a_version_may_be_known_by_its_time(site: Site, tmp_path: Path) -> None:
    """A weak ETag does not say that the bytes are the same, so it cannot be used."""
    site.etag, site.changed = 'W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT"
    site.faults = ["cut 300"]
    assert fetched(site, tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert site.seen[1] == Seen("/file", "bytes=300-", site.changed)


def test_a_version_that_is_not_known_by_anything_starts_anew(site: Site, tmp_path: Path) -> None:
    site.etag = None
    site.faults = ["cut 300"]
    assert fetched(site, tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert asked(site) == [None, None]


def test_another_address_is_another_file(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 300"]
    with pytest.raises(FetchError):
        fetch_files([wanted(site)], tmp_path, patience=QUICK._replace(attempts=1))
    fetched(site, tmp_path, url=site.url + "2")
    assert site.seen[1] == Seen("/file2", None, None)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"url": 3}'])
def test_a_part_of_unknown_origin_is_not_used(site: Site, tmp_path: Path, damage: str) -> None:
    (tmp_path / "one.bin.part").write_bytes(b"x" * 500)
    (tmp_path / "one.bin.part.json").write_text(damage)
    assert fetched(site, tmp_path).path.read_bytes() == CONTENT
    assert asked(site) == [None]


def test_an_answer_that_begins_elsewhere_is_not_used(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 300", "part 10"]
    assert fetched(site, tmp_path).path.read_bytes() == CONTENT
    assert asked(site) == [None, "bytes=300-", None]


def test_a_part_that_is_the_whole_file_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    """A process killed between the last byte and the new name."""
    (tmp_path / "one.bin.part").write_bytes(CONTENT)
    note = {"url": site.url, "validator": FIRST, "total": 1024}
    (tmp_path / "one.bin.part.json").write_text(json.dumps(note))
    assert fetched(site, tmp_path, md5=MD5).received == 0
    assert site.seen == []


@pytest.mark.parametrize(("length", "requests"), [(1024, 1), (1030, 2)])
def test_nothing_after_the_part(site: Site, tmp_path: Path, length: int, requests: int) -> None:
    """416: what is there is all of the file, if as long, and of something else, if longer."""
    (tmp_path / "one.bin.part").write_bytes((CONTENT + b"123456")[:length])
    (tmp_path / "one.bin.part.json").write_text(json.dumps({"url": site.url, "validator": FIRST, "total": None}))
    assert fetched(site, tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert asked(site) == [f"bytes={length}-", None][:requests]


def test_a_length_that_is_too_long(site: Site, tmp_path: Path) -> None:
    """The rest that was promised never comes: 416 then says that this is all."""
    site.faults = ["lie 50"]
    assert fetched(site, tmp_path).path.read_bytes() == CONTENT
    assert asked(site) == [None, "bytes=1024-"]


@pytest.mark.parametrize("facts", [{"size": 1024}, {"md5": MD5}])
def test_a_length_that_is_too_short(site: Site, tmp_path: Path, facts: dict[str, Any]) -> None:
    site.faults = ["lie -24"]
    with pytest.raises(FetchError, match=r"has 1,000 bytes, and 1,024 are published|its md5 is"):
        fetched(site, tmp_path, **facts)
    assert "one.bin" not in names(tmp_path)


def test_a_length_other_than_published_is_known_before_the_bytes(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="has 1,024 bytes, and 9,999 are published"):
        fetched(site, tmp_path, size=9999)
    assert names(tmp_path) == []


def test_no_length_at_all(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.faults = ["silent"]
    assert fetched(site, tmp_path).path.read_bytes() == CONTENT
    assert "it may be cut" in caplog.text
    caplog.clear()
    site.faults = ["silent"]
    fetched(site, tmp_path / "checked", md5=MD5)
    assert "it may be cut" not in caplog.text


@pytest.mark.parametrize("facts", [{"md5": MD5}, {"sha256": SHA256}])
def test_a_flipped_bit_is_seen_and_the_file_not_kept(site: Site, tmp_path: Path, facts: dict[str, Any]) -> None:
    site.faults = ["flip 700"]
    kind = next(iter(facts))
    with pytest.raises(FetchError) as raised:
        fetched(site, tmp_path, **facts)
    wrong = bytearray(CONTENT)
    wrong[700] ^= 1
    message = str(raised.value)
    assert f"{site.url}: is not what was published: its {kind} is {hashlib.new(kind, wrong).hexdigest()}" in message
    assert "it is not kept. Run the same command again" in message
    assert names(tmp_path) == []
    assert fetched(site, tmp_path, **facts).path.read_bytes() == CONTENT
    assert asked(site) == [None, None]


def test_redirects_keep_the_range(site: Site, tmp_path: Path) -> None:
    """ENCODE's addresses lead to signed ones of its store, new ones each time."""
    there = f"http://localhost:{site.port}/signed"
    site.faults = [f"to {there}?1", "cut 300", f"to {there}?2"]
    assert fetched(site, tmp_path, md5=MD5).path.read_bytes() == CONTENT
    assert [(seen.path, seen.range) for seen in site.seen] == [
        ("/file", None),
        ("/signed?1", None),
        ("/file", "bytes=300-"),
        ("/signed?2", "bytes=300-"),
    ]


@pytest.mark.parametrize("address", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd"])
def test_redirects_to_what_is_not_encrypted_are_refused(site: Site, tmp_path: Path, address: str) -> None:
    site.faults = [f"to {address}"]
    with pytest.raises(FetchError, match="redirects to|is not allowed"):
        fetched(site, tmp_path)
    assert len(site.seen) == 1


def test_a_circle_of_redirects_ends(site: Site, tmp_path: Path) -> None:
    site.faults = [f"to {site.url}"] * 50
    with pytest.raises(FetchError, match="the server answers 307") as raised:
        fetched(site, tmp_path)
    assert "\n" not in str(raised.value)


def test_ctrl_c_keeps_what_came(site: Site, tmp_path: Path) -> None:
    site.faults = ["stall 300"]

    @contextmanager
    def meter(description: str) -> Iterator[Progress]:
        def pressed(done: int, total: int) -> None:
            raise KeyboardInterrupt

        assert description == "fetching one.bin"
        yield pressed

    with pytest.raises(KeyboardInterrupt):
        fetch_files([wanted(site)], tmp_path, patience=QUICK, meter=meter)
    kept = (tmp_path / "one.bin.part").read_bytes()
    assert kept == CONTENT[: len(kept)] != b""
    assert not (tmp_path / "one.bin").exists()
    assert fetched(site, tmp_path, md5=MD5).received == 1024 - len(kept)
    assert asked(site) == [None, f"bytes={len(kept)}-"]


def test_progress_counts_what_was_there_before(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    @contextmanager
    def meter(description: str) -> Iterator[Progress]:
        yield lambda done, total: seen.append((done, total))

    site.faults = ["cut 300"]
    fetch_files([wanted(site)], tmp_path, patience=QUICK, meter=meter)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (1024, 1024)
    assert (300, 1024) in seen


@pytest.mark.parametrize(
    ("facts", "content", "words"),
    [
        ({"size": 1024}, b"short", "has 5 bytes, and 1,024 are published"),
        ({"md5": MD5}, b"x" * 1024, f"its md5 is {hashlib.md5(b'x' * 1024).hexdigest()}, and {MD5} is published"),
    ],
)
def test_a_bad_file_is_told_and_kept(
    site: Site, tmp_path: Path, facts: dict[str, Any], content: bytes, words: str
) -> None:
    (tmp_path / "one.bin").write_bytes(content)
    with pytest.raises(FetchError) as raised:
        fetched(site, tmp_path, **facts)
    assert str(raised.value).startswith(f"{tmp_path / 'one.bin'}: {words}; it is kept. Remove it or pass --overwrite")
    assert (tmp_path / "one.bin").read_bytes() == content
    assert site.seen == []
    assert fetched(site, tmp_path, overwrite=True, **facts).path.read_bytes() == CONTENT


def test_a_file_changed_since_its_download_is_told(site: Site, tmp_path: Path) -> None:
    fetched(site, tmp_path)
    for content in (CONTENT[:-1], CONTENT[:-1] + b"!"):
        (tmp_path / "one.bin").write_bytes(content)
        with pytest.raises(FetchError, match="is not what was downloaded on 2"):
            fetched(site, tmp_path)
    assert fetched(site, tmp_path, overwrite=True).path.read_bytes() == CONTENT


@pytest.mark.parametrize("facts", [{}, {"size": 5}])
def test_a_file_that_cannot_be_checked_is_kept(
    site: Site, tmp_path: Path, facts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "one.bin").write_bytes(b"a own")
    assert fetched(site, tmp_path, **facts).found.state == "unchecked"
    assert "is kept unchecked: no checksum is published" in caplog.text
    assert ((tmp_path / "one.bin").read_bytes(), site.seen) == (b"a own", [])


def test_a_record_of_another_address_says_nothing(site: Site, tmp_path: Path) -> None:
    fetched(site, tmp_path)
    assert examine(wanted(site, url=site.url + "2").entry, tmp_path).state == "unchecked"


def test_a_damaged_record_is_told(site: Site, tmp_path: Path) -> None:
    fetched(site, tmp_path)
    (tmp_path / "fetched.json").write_text("{")
    with pytest.raises(FetchError, match=r"fetched\.json: is not what was written there.*remove it"):
        fetched(site, tmp_path)


def test_one_failure_does_not_stop_the_others(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [Wanted(name, wanted(site, file=name).entry) for name in ("a", "b", "c")]
    site.faults = ["404", "", "404"]
    with pytest.raises(FetchError, match="2 of 3 files are not there") as raised:
        fetch_files(files, tmp_path, patience=QUICK)
    assert raised.value.count == 2
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2
    assert names(tmp_path) == ["b", "fetched.json"]
    fetch_files(files, tmp_path, patience=QUICK)
    assert names(tmp_path) == ["a", "b", "c", "fetched.json"]
    assert list(json.loads((tmp_path / "fetched.json").read_text())) == ["a", "b", "c"]


def test_two_at_once_download_once(site: Site, tmp_path: Path) -> None:
    site.faults = ["stall 300"]
    outcomes: list[Outcome] = []

    def one() -> None:
        outcomes.extend(fetch_files([wanted(site, md5=MD5)], tmp_path, patience=SILENT._replace(lock=200)))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.received for outcome in outcomes) == [0, 0, 1024]
    assert len(site.seen) == 2
    assert (tmp_path / "one.bin").read_bytes() == CONTENT


def test_another_process_at_the_same_file(site: Site, tmp_path: Path) -> None:
    with locked(tmp_path / ".one.bin.lock"), pytest.raises(OutputError, match="another process is at work here"):
        fetched(site, tmp_path)
    assert fetched(site, tmp_path, file="two.bin").received == 1024


def free(monkeypatch: pytest.MonkeyPatch, bytes_free: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=bytes_free)
    monkeypatch.setattr("epinformer.fetch.part.shutil.disk_usage", lambda path: usage)


def test_room_is_checked_before_the_first_request(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2047)
    files = [Wanted(name, wanted(site, file=name, size=1024).entry) for name in ("a", "b")]
    with pytest.raises(OutputError, match="2,048 bytes are still to come, and the disk has 2,047 free"):
        fetch_files(files, tmp_path, patience=QUICK)
    assert site.seen == []


def test_room_is_checked_when_the_server_says_the_length(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1023)
    with pytest.raises(OutputError, match="1,024 bytes are still to come"):
        fetched(site, tmp_path)
    free(monkeypatch, 1024)
    assert fetched(site, tmp_path).received == 1024


def test_a_full_disk_keeps_what_came(site: Site, tmp_path: Path) -> None:
    (tmp_path / "one.bin.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"one\.bin\.part: cannot be written: No space left.*what came is kept"):
        fetched(site, tmp_path)


def test_folders_in_the_way(site: Site, tmp_path: Path) -> None:
    (tmp_path / "one.bin").mkdir()
    with pytest.raises(OutputError, match="is not a file"):
        fetched(site, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        fetched(site, tmp_path / "file")
    (tmp_path / "two.bin.part").mkdir()
    with pytest.raises(OutputError, match=r"two\.bin\.part: cannot be written"):
        fetched(site, tmp_path, file="two.bin")


def test_a_plan_writes_nothing_and_asks_for_lengths(site: Site, tmp_path: Path) -> None:
    site.faults = ["cut 300"]
    with pytest.raises(FetchError):
        fetch_files([wanted(site)], tmp_path, patience=QUICK._replace(attempts=1))
    (tmp_path / "own").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    site.seen.clear()
    files = [
        wanted(site),
        Wanted("new", wanted(site, file="new", size=77).entry),
        Wanted("own", wanted(site, file="own").entry),
        Wanted("gone", wanted(site, file="gone").entry),
    ]
    site.faults = ["", "404"]
    planned = plan(files, tmp_path, patience=QUICK)
    assert [(row.name, row.found.state, row.here, row.size) for row in planned] == [
        ("one", "missing", 300, 1024),
        ("new", "missing", 0, 77),
        ("own", "unchecked", 4, 4),
        ("gone", "missing", 0, None),
    ]
    assert asked(site) == ["bytes=0-0", "bytes=0-0"]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

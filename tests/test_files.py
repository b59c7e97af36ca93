from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from epinformer import files
from epinformer.errors import OutputError
from epinformer.files import atomic_directory, atomic_file, refuse_output, sha256


def make_dataset(path: Path, text: str = "old") -> None:
    path.mkdir()
    (path / "dataset.json").write_text(text)


def write_dataset(path: Path, text: str = "new", **options: bool) -> None:
    with atomic_directory(path, **options) as folder:
        (folder / "dataset.json").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def run(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ACGT" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"ACGT" * 100_000).hexdigest()


def test_sha256_says_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(600_000))
    seen: list[int] = []
    assert sha256(tmp_path / "a", seen.append) == hashlib.sha256(bytes(600_000)).hexdigest()
    assert seen == sorted(set(seen)) and len(seen) > 1 and seen[-1] == 600_000


class TestRefuseOutput:
    def test_what_can_be_written_is_fine(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        (tmp_path / "input").write_text("")
        refuse_output(tmp_path / "new", overwrite=False, marker="dataset.json", inputs=[tmp_path / "input"])
        refuse_output(tmp_path / "d", overwrite=True, marker="dataset.json", inputs=[tmp_path / "input"])

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_link_to_nowhere(self, tmp_path: Path, overwrite: bool) -> None:
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(OutputError, match="already exists|is not a directory"):
            refuse_output(tmp_path / "link", overwrite=overwrite, marker="dataset.json")

    def test_a_file_and_a_folder_of_others(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(OutputError, match="is not a directory"):
            refuse_output(tmp_path / "file", overwrite=True, marker="dataset.json")
        with pytest.raises(OutputError, match=r"holds no dataset\.json"):
            refuse_output(tmp_path, overwrite=True, marker="dataset.json")

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="its folder does not exist.*Create .*no first"):
            refuse_output(tmp_path / "no" / "d", overwrite=False, marker="dataset.json")

    def test_an_output_that_holds_an_input(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        (tmp_path / "link").symlink_to("d")
        for output in (tmp_path / "d", tmp_path / "link", tmp_path / "d" / "dataset.json"):
            with pytest.raises(OutputError, match=r"what is to be read \(1 affected; first: .*dataset\.json\)\. Name"):
                refuse_output(
                    output, overwrite=True, marker="dataset.json", inputs=["/dev/null", tmp_path / "d/dataset.json"]
                )


class TestAtomicFile:
    def test_is_there_only_when_complete(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "a.tsv.gz") as temporary:
            assert temporary.parent == tmp_path
            assert temporary.name.endswith(".tsv.gz"), "writers choose the format by the suffix"
            temporary.write_text("whole")
            assert not (tmp_path / "a.tsv.gz").exists()
        assert names(tmp_path) == ["a.tsv.gz"]
        assert (tmp_path / "a.tsv.gz").read_text() == "whole"

    def test_failure_leaves_the_target_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("old")
        with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert names(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "old"

    def test_replaces_and_writes_through_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to("real")
        with atomic_file(tmp_path / "link") as temporary:
            temporary.write_text("new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_text() == "new"

    def test_missing_folder_is_told_before_any_work(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="its folder does not exist"), atomic_file(tmp_path / "no" / "a"):
            pytest.fail("the block must not run")

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="is a directory"), atomic_file(tmp_path):
            pytest.fail("the block must not run")

    def test_a_device_is_written_to_and_stays_a_device(self) -> None:
        with atomic_file("/dev/null") as target:
            target.write_text("gone")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)

    def test_a_full_device_is_told(self) -> None:
        told = pytest.raises(OutputError, match="/dev/full: cannot be written: No space left")
        with told, atomic_file("/dev/full") as target:
            target.write_text("x" * 100_000)

    def test_a_name_that_is_too_long_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="File name too long"), atomic_file(tmp_path / ("a" * 250)) as temporary:
            temporary.write_text("x")

    @pytest.mark.parametrize(
        "raised",
        [
            OSError(errno.ENOSPC, "No space left on device"),
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            OSError("1000 requested and 10 written"),
            RuntimeError("I/O error: No space left on device (os error 28)"),
        ],
    )
    def test_every_way_to_say_that_the_disk_is_full(self, tmp_path: Path, raised: Exception) -> None:
        with pytest.raises(OutputError, match=r"cannot be written: .*Free some space"), atomic_file(tmp_path / "a"):
            raise raised
        assert names(tmp_path) == []

    def test_a_full_disk_at_the_rename_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(source: Path, target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"), atomic_file(tmp_path / "a") as temporary:
            temporary.write_text("x")
        assert names(tmp_path) == []

    def test_errors_of_reading_are_not_blamed_on_the_output(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
            (tmp_path / "input").read_text()
        with pytest.raises(IsADirectoryError), atomic_file(tmp_path / "a"):
            tmp_path.read_text()

    @pytest.mark.parametrize("write", ["Path(t).write_bytes(b'x' * 100_000)", "np.save(t, np.zeros(100_000))"])
    def test_a_limit_on_the_size_leaves_nothing(self, tmp_path: Path, write: str) -> None:
        code = f"""
import resource, sys
import numpy as np
from pathlib import Path
from epinformer.files import atomic_file
sys.dont_write_bytecode = True  # the limit would cut compiled modules, too, and leave them so
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with atomic_file(sys.argv[1]) as t:
    {write}
"""
        (tmp_path / "a.npy").write_text("old")
        done = run(code, tmp_path / "a.npy")
        assert done.returncode == 1
        assert "OutputError" in done.stderr.splitlines()[-1]
        assert names(tmp_path) == ["a.npy"]
        assert (tmp_path / "a.npy").read_text() == "old"


class TestAtomicDirectory:
    def test_is_there_only_when_complete(self, tmp_path: Path) -> None:
        with atomic_directory(tmp_path / "d") as folder:
            np.save(folder / "a.npy", np.arange(3))
            assert not (tmp_path / "d").exists()
        assert names(tmp_path) == ["d"]
        assert names(tmp_path / "d") == ["a.npy"]

    def test_failure_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), atomic_directory(tmp_path / "d") as folder:
            (folder / "a").write_text("half")
            raise KeyboardInterrupt
        assert names(tmp_path) == []

    def test_existing_is_refused_without_overwrite(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        with pytest.raises(OutputError, match="already exists.*--overwrite"):
            write_dataset(tmp_path / "d")
        assert (tmp_path / "d" / "dataset.json").read_text() == "old"

    def test_overwrite_replaces_the_whole_directory(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        (tmp_path / "d" / "sequence.npy").write_text("")
        write_dataset(tmp_path / "d", overwrite=True)
        assert names(tmp_path) == ["d"]
        assert names(tmp_path / "d") == ["dataset.json"]
        assert (tmp_path / "d" / "dataset.json").read_text() == "new"

    def test_overwrite_that_fails_keeps_the_old_one(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "d", overwrite=True):
            raise ZeroDivisionError
        assert names(tmp_path) == ["d"]
        assert (tmp_path / "d" / "dataset.json").read_text() == "old"

    def test_overwrite_whose_last_rename_fails_puts_the_old_one_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_dataset(tmp_path / "d")
        replace = os.replace

        def fail_for_the_new_one(source: Path, target: Path) -> None:
            if ".tmp-" in str(source):
                raise OSError(errno.EDQUOT, "Disk quota exceeded", str(source))
            replace(source, target)

        monkeypatch.setattr(os, "replace", fail_for_the_new_one)
        with pytest.raises(OutputError, match="quota"):
            write_dataset(tmp_path / "d", overwrite=True)
        assert names(tmp_path) == ["d"]
        assert (tmp_path / "d" / "dataset.json").read_text() == "old"

    def test_overwrite_never_deletes_a_folder_that_is_not_ours(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / "thesis.tex").write_text("years of work")
        with pytest.raises(OutputError, match="not a result of this program"):
            write_dataset(home, overwrite=True)
        assert (home / "thesis.tex").read_text() == "years of work"

    @pytest.mark.parametrize("stranger", ["thesis.tex", ".git", "model.json"])
    def test_overwrite_keeps_a_folder_that_holds_more_than_we_write(self, tmp_path: Path, stranger: str) -> None:
        make_dataset(tmp_path / "d")
        (tmp_path / "d" / stranger).write_text("mine")
        (tmp_path / "d" / "zebra").mkdir()
        told = pytest.raises(OutputError, match=rf"did not write \(2 affected; first: {stranger}\)\. Move that")
        with told, atomic_directory(tmp_path / "d", overwrite=True, marker="dataset.json"):
            pytest.fail("the block must not run")
        assert (tmp_path / "d" / stranger).read_text() == "mine"

    def test_a_folder_named_like_one_of_our_files_is_a_stranger(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        (tmp_path / "d" / "genes.parquet").mkdir()
        with pytest.raises(OutputError, match=r"did not write \(1 affected; first: genes\.parquet\)"):
            write_dataset(tmp_path / "d", overwrite=True)

    def test_overwrite_takes_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        for name in ("model.json", "model.safetensors"):
            (tmp_path / "d" / name).write_text("old")
        write_dataset(tmp_path / "d", overwrite=True)
        assert names(tmp_path / "d") == ["dataset.json"]

    def test_what_somebody_puts_there_during_the_work_is_kept(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        told = pytest.raises(OutputError, match="first: notes")
        with told, atomic_directory(tmp_path / "d", overwrite=True) as folder:
            (folder / "dataset.json").write_text("new")
            (tmp_path / "d" / "notes").write_text("mine")
        assert names(tmp_path) == ["d"]
        assert names(tmp_path / "d") == ["dataset.json", "notes"]

    def test_overwrite_goes_by_the_marker(self, tmp_path: Path) -> None:
        make_dataset(tmp_path / "d")
        told = pytest.raises(OutputError, match=r"holds no model\.json")
        with told, atomic_directory(tmp_path / "d", overwrite=True, marker="model.json"):
            pytest.fail("the block must not run")

    def test_overwrite_takes_an_empty_folder_but_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        write_dataset(tmp_path / "empty", overwrite=True)
        assert names(tmp_path / "empty") == ["dataset.json"]
        (tmp_path / "file").write_text("mine")
        with pytest.raises(OutputError, match="is not a directory"):
            write_dataset(tmp_path / "file", overwrite=True)
        assert (tmp_path / "file").read_text() == "mine"

    def test_overwrite_takes_a_subfolder_only_if_it_is_ours(self, tmp_path: Path) -> None:
        """A simulation has `truth/`; a dataset has no subfolder, and neither may hold what we did not write."""
        target = tmp_path / "s"
        (target / "truth").mkdir(parents=True)
        (target / "simulation.json").write_text("old")
        (target / "truth" / "links.tsv").write_text("old")
        with atomic_directory(target, overwrite=True, marker="simulation.json") as folder:
            (folder / "truth").mkdir()
            (folder / "simulation.json").write_text("new")
        assert names(target) == ["simulation.json", "truth"] and names(target / "truth") == []
        (target / "truth" / "mine").mkdir()
        told = pytest.raises(OutputError, match=r"did not write \(1 affected; first: truth/mine\)")
        with told, atomic_directory(target, overwrite=True, marker="simulation.json"):
            pytest.fail("the block must not run")
        make_dataset(tmp_path / "d")
        (tmp_path / "d" / "truth").mkdir()
        told = pytest.raises(OutputError, match=r"did not write \(1 affected; first: truth\)")
        with told, atomic_directory(tmp_path / "d", overwrite=True):
            pytest.fail("the block must not run")

    def test_overwrite_does_not_follow_a_link_to_a_subfolder(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "links.tsv").write_text("mine")
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / "simulation.json").write_text("old")
        (tmp_path / "s" / "truth").symlink_to(tmp_path / "elsewhere")
        told = pytest.raises(OutputError, match=r"did not write \(1 affected; first: truth\)")
        with told, atomic_directory(tmp_path / "s", overwrite=True, marker="simulation.json"):
            pytest.fail("the block must not run")
        assert (tmp_path / "elsewhere" / "links.tsv").read_text() == "mine"

    def test_missing_parent_is_told_before_any_work(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="its folder does not exist"), atomic_directory(tmp_path / "no" / "d"):
            pytest.fail("the block must not run")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_without_permission_is_told(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(OutputError, match="Permission denied"):
                write_dataset(tmp_path / "d")
        finally:
            tmp_path.chmod(0o700)


KILLED = """
import os, signal, sys
from epinformer.files import atomic_directory, atomic_file
with {context} as temporary:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("context", "write", "again"),
    [
        ("atomic_file(sys.argv[1])", "temporary.write_text('half')", lambda path: atomic_file(path)),
        (
            "atomic_directory(sys.argv[1], overwrite=True)",
            "(temporary / 'dataset.json').write_text('half')",
            lambda path: atomic_directory(path, overwrite=True),
        ),
    ],
    ids=["file", "directory"],
)
def test_a_killed_write_leaves_the_target_and_the_next_one_cleans_up(
    tmp_path: Path, context: str, write: str, again: Callable
) -> None:
    target = tmp_path / "target"
    directory = "directory" in context
    if directory:
        make_dataset(target)
    else:
        target.write_text("old")
    assert run(KILLED.format(context=context, write=write), target).returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert len(left) == 2, "the killed process leaves its temporary"
    assert (target / "dataset.json" if directory else target).read_text() == "old"
    with again(target) as temporary:
        assert len(names(tmp_path)) <= 2, "the leftover is gone before the next write"
        (temporary / "dataset.json" if directory else temporary).write_text("new")
    assert names(tmp_path) == ["target"]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from epinformer.files import atomic_directory
replace = os.replace
def kill_at_the_second(source, target):
    if ".tmp-" in str(source):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = kill_at_the_second
with atomic_directory(sys.argv[1], overwrite=True) as temporary:
    (temporary / "dataset.json").write_text("new")
"""
    make_dataset(tmp_path / "d")
    assert run(code, tmp_path / "d").returncode == -signal.SIGKILL
    assert not (tmp_path / "d").exists()
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "d", overwrite=True):
        raise ZeroDivisionError
    assert names(tmp_path) == ["d"]
    assert (tmp_path / "d" / "dataset.json").read_text() == "old"


def of_process(target: Path, process: int) -> Path:
    """The temporary that another run, with this process id, would have made."""
    name = files._name(target, "tmp").name.replace(f"-{os.getpid()}-{files._RUN}.", f"-{process}-0123abcd.")
    return target.with_name(name)


def test_two_threads_do_not_take_each_others_temporaries(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as first:
        first.write_text("first")
        with atomic_file(tmp_path / "a") as second:
            second.write_text("second")
        assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_temporaries_of_living_processes_and_other_files_are_left_alone(tmp_path: Path) -> None:
    living = of_process(tmp_path / "a", os.getppid())
    other = of_process(tmp_path / "b", 2**22 + 1)
    for path in (living, other, tmp_path / ".tmp-a"):
        path.write_text("")
    with atomic_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert {living.name, other.name, ".tmp-a", "a"} == set(names(tmp_path))


def test_a_leftover_under_our_own_process_id_is_no_obstacle(tmp_path: Path) -> None:
    leftover = of_process(tmp_path / "d", os.getpid())
    leftover.mkdir()
    (leftover / "half").write_text("")
    write_dataset(tmp_path / "d")
    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["dataset.json"]

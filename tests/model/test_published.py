from __future__ import annotations

import io
import logging
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from epinformer.errors import ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

VARIANTS = {"promoter": 447_149, "PE": 447_213, "PE-Activity": 447_277, "PE-Activity-HiC": 447_341}
ACTIVITY_PARAMETERS = 802_305


class Evil:
    """Runs a function when unpickled by a careless reader."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_reads_every_variant(
    kind: str, legacy: bool, authors_file: Callable[..., Path], authors_state: Callable[[str], OrderedDict]
) -> None:
    published = read_published(authors_file(kind, legacy=legacy))
    assert published.config.variant == kind
    assert published.metadata.epoch == 3
    assert published.metadata.validation_score == 0.5
    raw = authors_state(kind)
    torch.testing.assert_close(published.state["encoder.stem.weight"], raw["seq_encoder.stem_conv.0.weight"][:, :, 0])
    torch.testing.assert_close(published.state["fusion.hidden.weight"], raw["add_pos_conv.0.weight"][..., 0])
    torch.testing.assert_close(published.state["predictor.output.bias"], raw["pToExpr.4.bias"])
    assert all(value.dtype in (torch.float32, torch.int64) for value in published.state.values())
    model = EPInformer(published.config)
    model.load_state_dict(published.state)
    assert sum(value.numel() for value in model.parameters()) == VARIANTS[kind]
    assert sum(value.numel() for value in raw.values()) == sum(value.numel() for value in published.state.values())


def test_reads_the_activity_model(authors_file: Callable[..., Path]) -> None:
    published = read_published(
        authors_file("activity", "fold_2_best_GM12878_seq2activityLog2_leaveChrOut_checkpoint.pt")
    )
    assert published.config.kind == "activity"
    assert published.config.target == "log2(0.1 + activity)"
    assert (published.metadata.fold, published.metadata.cell_type) == (2, "GM12878")
    model = ActivityModel(published.config)
    model.load_state_dict(published.state)
    assert sum(value.numel() for value in model.parameters()) == ACTIVITY_PARAMETERS


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("fold_1_best_K562_seq2activityLog2v2_leaveChrOut_checkpoint.pt", "log2(0.1 + activity)"),
        ("fold_1_best_K562_seq2activityLog10_leaveChrOut_checkpoint.pt", "log10(0.1 + activity)"),
        ("fold_1_best_K562_seq2activity_leaveChrOut_bs128_checkpoint.pt", "log10(0.1 + activity)"),
        ("encoder.pt", None),
    ],
)
def test_scale_of_the_activity_target(name: str, target: str | None, authors_file: Callable[..., Path]) -> None:
    assert read_published(authors_file("activity", name)).config.target == target


def test_bare_state_dict_data_parallel_and_flat_kernels(
    tmp_path: Path, authors_state: Callable[[str], OrderedDict]
) -> None:
    raw = authors_state("PE")
    expected = None
    for number, state in enumerate(
        (
            raw,
            {f"module.{name}": value for name, value in raw.items()},
            {name: value.squeeze(2) if value.ndim == 4 else value for name, value in raw.items()},
            {name: value.double() if value.is_floating_point() else value for name, value in raw.items()},
        )
    ):
        path = tmp_path / f"{number}.pt"
        torch.save(state, path)
        found = read_published(path)
        assert found.metadata.epoch is None
        assert found.metadata.validation_score is None
        expected = found.state if expected is None else expected
        assert all(torch.equal(found.state[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "loss", [np.float32(-0.25), np.float64(-0.25), -0.25, torch.tensor(-0.25), np.float64(-0.25).astype(">f8")]
)
def test_validation_score_of_any_number_type(loss: object, authors_file: Callable[..., Path]) -> None:
    assert read_published(authors_file(loss=loss)).metadata.validation_score == 0.25


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_of_old_and_new_numpy(module: str, authors_file: Callable[..., Path]) -> None:
    path = authors_file()
    changed = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content or b"numpy.core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
                content = content.replace(b"numpy.core.multiarray", module.encode())
            new.writestr(entry.filename, content)
    assert read_published(changed).metadata.validation_score == 0.5


@pytest.mark.parametrize(
    ("name", "saved_as", "fold", "cell_type", "target"),
    [
        ("fold_11_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt", None, 11, "K562", "expression_cage"),
        ("fold_3_EPInformer_PE_Activity_RNA_GM12878_checkpoint.pt", None, 3, "GM12878", "expression_rna"),
        ("KLF1_test_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt", None, None, "K562", "expression_cage"),
        ("fold_13_x.pt", None, None, None, None),
        (
            "mine.pt",
            "fold_7_best_EPInformerV2.2extraFeat.60enh.K562.bs32.distanceDist100k.len2k.distance.RNA_checkpoint",
            7,
            "K562",
            "expression_rna",
        ),
    ],
)
def test_metadata_of_names(
    name: str,
    saved_as: str | None,
    fold: int | None,
    cell_type: str | None,
    target: str | None,
    authors_file: Callable[..., Path],
) -> None:
    published = read_published(authors_file(name=name, saved_as=saved_as))
    assert (published.metadata.fold, published.metadata.cell_type) == (fold, cell_type)
    assert published.config.target == target
    assert published.metadata.original_name == (saved_as or name.removesuffix(".pt"))


def test_contradicting_names_are_not_believed(
    authors_file: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        published = read_published(authors_file(name="fold_1_RNA_K562.pt", saved_as="fold_2_best.K562.CAGE_checkpoint"))
    assert published.metadata.fold is None
    assert published.config.target is None
    assert published.metadata.cell_type == "K562"
    assert "disagree on the fold (1 and 2)" in caplog.text


def test_other_feature_order_is_refused(authors_file: Callable[..., Path]) -> None:
    saved_as = "fold_1_best_EPInformerV2.2extraFeat.K562.len2k.hic.RNA_checkpoint"
    with pytest.raises(ModelError, match="'hic' as its first feature"):
        read_published(authors_file(name="x.pt", saved_as=saved_as))


@pytest.mark.parametrize("function", ["os.mkdir", "os.system", "exec"])
@pytest.mark.parametrize("container", ["pickle0", "pickle2", "pickle4", "legacy", "zip", "in_state", "as_loss"])
def test_nothing_is_executed(
    function: str, container: str, tmp_path: Path, authors_state: Callable[[str], OrderedDict]
) -> None:
    marker = tmp_path / "executed"
    evil = {
        "os.mkdir": Evil(os.mkdir, str(marker)),
        "os.system": Evil(os.system, f"mkdir '{marker}'"),
        "exec": Evil(exec, f"import os; os.mkdir({str(marker)!r})"),
    }[function]
    # The payload is live: a careless reader would have been caught.
    pickle.loads(pickle.dumps(evil))
    assert marker.is_dir()
    marker.rmdir()

    path = tmp_path / "evil.pt"
    state = authors_state("PE")
    if container.startswith("pickle"):
        path.write_bytes(pickle.dumps(evil, protocol=int(container[-1])))
    elif container == "in_state":
        torch.save({"model_state_dict": {**state, "seq_encoder.extra": evil}}, path)
    elif container == "as_loss":
        torch.save({"epoch": 1, "model_state_dict": state, "loss": evil}, path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(ModelError) as caught:
        read_published(path)
    assert not marker.exists()
    assert str(path) in str(caught.value)
    if container != "pickle0":  # which is text
        assert "nothing was run" in str(caught.value) or "not a readable" in str(caught.value)


@pytest.mark.parametrize("code", ["O8", "V8", "f16", "M8[ns]", "f8, f8"])
def test_scalars_are_numbers_only(code: str, tmp_path: Path, authors_state: Callable[[str], OrderedDict]) -> None:
    path = tmp_path / "odd.pt"
    content = {"epoch": 1, "model_state_dict": authors_state("PE"), "loss": Evil(np.dtype, code, False, True)}
    torch.save(content, path)
    with pytest.raises(ModelError, match="not a readable torch checkpoint"):
        read_published(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b",Pred,actual,fold_idx\nENSG1,0.5,0.4,1\nENSG2,0.1,0.2,1\n", "is a CSV table named .pt.*twelve"),
        (b"\xef\xbb\xbfa,b\n1,2\n", "is a CSV table named .pt"),
        (b"gene\tpred\nA\t1\nB\t2\n", "is a tab-separated table named .pt"),
        (b"<!DOCTYPE html>\n<html></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"Not Found\n", "is a text file"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 file.*import-h5"),
        (b"\x1f\x8b" + bytes(100), "gzip"),
        (bytes(range(256)) * 4, "not a readable torch checkpoint"),
        (pickle.dumps({"a": 1}), "not a readable|nothing was run"),
    ],
)
def test_other_files_are_named_for_what_they_are(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fold_9_EPInformer_PE_Activity_RNA_K562_checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_published(path)
    assert str(path) in str(caught.value)


def test_long_csv_is_recognised_though_its_head_ends_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_text("gene,é,b\n" + "ENSG00000000003,0.25,é\n" * 1000, encoding="utf-8")
    with pytest.raises(ModelError, match="CSV table"):
        read_published(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_published(tmp_path / "none.pt")
    with pytest.raises(ModelError, match="is not a file"):
        read_published(tmp_path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_truncated_anywhere(legacy: bool, authors_file: Callable[..., Path]) -> None:
    path = authors_file(legacy=legacy)
    content = path.read_bytes()
    for size in (1, 3, 30, 200, 4097, 20_000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ModelError):
            read_published(path)


def test_a_changed_byte_is_noticed(authors_file: Callable[..., Path]) -> None:
    path = authors_file()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is a truncated or damaged torch file.*Download"):
        read_published(path)


def test_an_unusual_pickle_gives_our_message_only(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=4))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(ModelError):
            read_published(path)
    assert heard == []


def test_zip_of_something_else_and_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="not a readable torch checkpoint"):
        read_published(path)
    monkeypatch.setattr("epinformer.model.published._LARGEST", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(2**21))
    with pytest.raises(ModelError, match="unpacks to 2,097,152 bytes"):
        read_published(path)


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"model_state_dict": 3}, {1: torch.zeros(1)}, {}])
def test_other_content(content: object, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"no state dict|not tensors"):
        read_published(path)


def test_allow_list_is_put_back(authors_file: Callable[..., Path]) -> None:
    before = set(torch.serialization.get_safe_globals())
    read_published(authors_file())
    assert set(torch.serialization.get_safe_globals()) == before
    buffer = io.BytesIO()
    torch.save(np.float64(1.0), buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(buffer, weights_only=True)


REAL = {
    "fold_1_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt": ("PE-Activity", 1, "K562", "expression_cage"),
    "fold_1_EPInformer_PE_Activity_HiC_CAGE_K562_checkpoint.pt": ("PE-Activity-HiC", 1, "K562", "expression_cage"),
    "fold_11_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt": ("PE-Activity", 11, "K562", "expression_cage"),
    "fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt": ("PE-Activity-HiC", 11, "K562", "expression_rna"),
    "promoter_seeded_init_state_dict.pt": ("promoter", None, None, None),
    "PE_seeded_init_state_dict.pt": ("PE", None, None, None),
    "fold_1_best_K562_seq2activityLog2_leaveChrOut_combinedRS_2bins_bs64_H3K27ac_adamW_erisxdl_r0_checkpoint.pt": (
        None,
        1,
        "K562",
        "log2(0.1 + activity)",
    ),
}


@pytest.mark.real_data
def test_every_published_file_of_the_real_data(shared_data: Path) -> None:
    files = sorted((shared_data / "published").glob("*.pt"))
    assert {file.name for file in files} == set(REAL)
    for file in files:
        published = read_published(file)
        variant, fold, cell_type, target = REAL[file.name]
        assert (published.config.variant, published.config.target) == (variant, target)
        assert (published.metadata.fold, published.metadata.cell_type) == (fold, cell_type)
        model = ActivityModel(published.config) if variant is None else EPInformer(published.config)
        model.load_state_dict(published.state)
        expected = ACTIVITY_PARAMETERS if variant is None else VARIANTS[variant]
        assert sum(value.numel() for value in model.parameters()) == expected
        raw = torch.load(file, map_location="cpu", weights_only=False)  # these files are ours to trust
        raw = raw.get("model_state_dict", raw)
        assert sum(value.double().sum() for value in raw.values()) == pytest.approx(
            sum(float(value.double().sum()) for value in published.state.values()), rel=1e-9
        )


@pytest.mark.real_data
def test_validation_score_of_a_real_file(shared_data: Path) -> None:
    metadata = read_published(
        shared_data / "published" / "fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt"
    ).metadata
    assert metadata.epoch == 1
    assert metadata.validation_score == pytest.approx(0.7615545722216577, abs=0)
    assert metadata.original_name is not None
    assert metadata.original_name.endswith("len2k.distance.RNA_checkpoint")

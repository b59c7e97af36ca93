from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from epinformer.errors import ModelError, OutputError
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import (
    FORMAT_VERSION,
    ModelInfo,
    build_model,
    fold_info,
    import_checkpoint,
    load_model,
    save_model,
)
from epinformer.model.config import ModelConfig, activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

SMALL = ModelConfig(
    preset="small",
    pair_features=published_config("PE-Activity").pair_features,
    gene_features=published_config("PE").gene_features,
    target="expression_rna",
    stem_channels=8,
    block_channels=(8, 4, 4, 8),
    dilated_channels=4,
    reduced_channels=4,
    width=8,
    heads=2,
    layers=1,
    feedforward=8,
    hidden=4,
)
SMALL_ACTIVITY = activity_config().model_copy(update={"stem_channels": 8, "block_channels": (4, 4, 4, 4), "hidden": 4})


def randomised(config: ModelConfig) -> EPInformer | ActivityModel:
    """Make a model none of whose tensors has its initial value."""
    model = build_model(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator))
            else:
                value.fill_(9)
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    save_model(randomised(SMALL), path, ModelInfo(config=SMALL))
    return path


@pytest.mark.parametrize(
    "config", [SMALL, SMALL_ACTIVITY, published_config("promoter")], ids=["PE", "activity", "promoter"]
)
def test_round_trip_is_bit_exact(config: ModelConfig, tmp_path: Path) -> None:
    model = randomised(config).train()
    info = ModelInfo(
        config=config,
        assembly="hg38",
        cell_type="K562",
        fold=fold_info(11),
        training_data="ab" * 32,
        training={"epoch": 4, "seeds": [1, 2], "r2": 0.5},
    )
    written = save_model(model, tmp_path / "m", info)
    loaded = load_model(tmp_path / "m")
    assert loaded.info == written
    assert loaded.info.model_copy(update={"weights_sha256": None}) == info
    assert loaded.info.config == config
    assert type(loaded.model) is type(model)
    assert not loaded.model.training
    expected, found = model.state_dict(), loaded.model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype for name in found)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.json", "model.safetensors"]


def test_model_json_says_everything(tmp_path: Path) -> None:
    save_model(randomised(SMALL), tmp_path / "m", ModelInfo(config=SMALL, assembly="hg38", fold=fold_info(12)))
    content = json.loads((tmp_path / "m" / "model.json").read_text())
    assert content["format_version"] == FORMAT_VERSION
    assert content["config"]["preset"] == "small"
    assert content["config"]["target"] == "expression_rna"
    assert content["config"]["pair_features"] == [["distance", "abs_kb"], ["activity", "identity"]]
    assert content["assembly"] == "hg38"
    assert content["fold"] == {"name": "12", "validation": ["2", "22"], "test": ["1", "Y"]}
    assert content["training_data"] is None
    assert content["package_version"]


def test_loading_costs_no_random_numbers(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(saved)
    assert torch.equal(torch.rand(3), expected)


def test_folds_of_the_paper() -> None:
    assert fold_info(1).test == ("2", "12")
    assert fold_info(11).test == ("22", "X")
    assert fold_info(11).validation == ("3", "21")
    for number in (0, 13):
        with pytest.raises(ModelError, match=f"no fold {number}"):
            fold_info(number)


def test_never_replaces_unasked_or_something_else(saved: Path, tmp_path: Path) -> None:
    model, info = randomised(SMALL), ModelInfo(config=SMALL, cell_type="GM12878")
    with pytest.raises(OutputError, match="overwrite"):
        save_model(model, saved, info)
    assert load_model(saved).info.cell_type is None
    save_model(model, saved, info, overwrite=True)
    assert load_model(saved).info.cell_type == "GM12878"
    other = tmp_path / "photographs"
    other.mkdir()
    (other / "cat.jpg").write_text("cat")
    with pytest.raises(OutputError):
        save_model(model, other, info, overwrite=True)
    assert (other / "cat.jpg").read_text() == "cat"


def test_nothing_is_left_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("epinformer.model.checkpoint.save_file", fail)
    with pytest.raises(OutputError, match="No space left"):
        save_model(randomised(SMALL), tmp_path / "m", ModelInfo(config=SMALL))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_safetensors_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def fail(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("epinformer.model.checkpoint.save_file", fail)
    with pytest.raises(OutputError, match="No space left"):
        save_model(randomised(SMALL), tmp_path / "m", ModelInfo(config=SMALL))
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_save_what_is_wrong(tmp_path: Path) -> None:
    model = randomised(SMALL)
    with pytest.raises(ModelError, match="another configuration"):
        save_model(model, tmp_path / "m", ModelInfo(config=published_config("PE")))
    with torch.no_grad():
        next(iter(model.parameters())).fill_(torch.nan)
    with pytest.raises(ModelError, match=r"not finite.*encoder\.stem\.weight"):
        save_model(model, tmp_path / "m", ModelInfo(config=SMALL))
    assert list(tmp_path.iterdir()) == []


def edit(path: Path, **changes: object) -> None:
    content = json.loads((path / "model.json").read_text())
    content.update(changes)
    (path / "model.json").write_text(json.dumps(content))


def edit_config(path: Path, **changes: object) -> None:
    content = json.loads((path / "model.json").read_text())
    content["config"].update(changes)
    (path / "model.json").write_text(json.dumps(content))


def edit_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(path / "model.safetensors")
    state = {name: value.clone() for name, value in state.items()}
    change(state)
    save_file(state, path / "model.safetensors")
    edit(path, weights_sha256=None)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "model.json").unlink(), r"model\.json: is missing"),
        (lambda path: (path / "model.safetensors").unlink(), r"model\.safetensors: is missing"),
        (lambda path: (path / "model.json").write_text(""), r"model\.json: is damaged"),
        (lambda path: (path / "model.json").write_text('{"format_version": 1'), r"model\.json: is damaged"),
        (lambda path: (path / "model.json").write_text("[" * 100_000), r"model\.json: is damaged"),
        (lambda path: (path / "model.json").write_bytes(b"\xff\xfe{}"), r"model\.json: is damaged"),
        (lambda path: (path / "model.json").write_text("[]"), "no format_version"),
        (lambda path: edit(path, format_version="1"), "no format_version"),
        (lambda path: edit(path, format_version=FORMAT_VERSION + 1), "Upgrade epinformer"),
        (lambda path: edit(path, config={}, more=1), "fields are missing, unknown or of the wrong type.*more"),
        (lambda path: edit_config(path, width="wide"), r"config\.width"),
        (lambda path: edit_config(path, dilations=[200]), "no possible network"),
        (lambda path: edit_config(path, width=16), "another shape or type"),
        (lambda path: edit_config(path, hidden=60_000), "another shape or type"),
        (lambda path: edit_config(path, layers=2), r"lacks tensors.*interaction\.layers\.1"),
        (lambda path: edit_config(path, elements=False, layers=0), r"config\.layers"),
        (lambda path: edit_config(path, kind="activity"), "lacks tensors"),
        (lambda path: (path / "model.safetensors").write_bytes(b""), r"model\.safetensors: is damaged"),
        (
            lambda path: (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-1]),
            r"model\.safetensors: is damaged",
        ),
        (
            lambda path: (path / "model.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}"),
            r"model\.safetensors: is damaged",
        ),
        (
            lambda path: (path / "model.safetensors").write_bytes(struct.pack("<Q", 2**20) + b"{}"),
            r"model\.safetensors: is damaged",
        ),
        (
            lambda path: (path / "model.safetensors").write_bytes(
                struct.pack("<Q", 64) + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}' + bytes(4)
            ),
            r"model\.safetensors: is damaged",
        ),
        (
            lambda path: edit_weights(path, lambda state: state.pop("predictor.output.bias")),
            r"lacks.*predictor\.output",
        ),
        (lambda path: edit_weights(path, lambda state: state.update(x=torch.zeros(2))), "knows nothing of.*x"),
        (
            lambda path: edit_weights(path, lambda state: state.update({"predictor.output.bias": torch.zeros(2)})),
            r"predictor\.output\.bias is \(2,\) torch\.float32, not \(1,\)",
        ),
        (
            lambda path: edit_weights(
                path, lambda state: state.update({"predictor.output.bias": torch.zeros(1, dtype=torch.float64)})
            ),
            "float64, not",
        ),
        (
            lambda path: edit_weights(path, lambda state: state["predictor.output.bias"].fill_(torch.inf)),
            r"not finite.*predictor\.output\.bias",
        ),
        (lambda path: edit(path, weights_sha256="0" * 64), "SHA-256 differs"),
    ],
)
def test_damage_is_told(damage: Callable[[Path], object], message: str, saved: Path) -> None:
    load_model(saved)
    damage(saved)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value)


def test_one_flipped_bit_is_noticed(saved: Path) -> None:
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(saved)


def test_not_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / "none")
    (tmp_path / "file.pt").write_text("x")
    with pytest.raises(ModelError, match=r"not a model directory.*import-checkpoint"):
        load_model(tmp_path / "file.pt")


def test_import(authors_file: Callable[..., Path], tmp_path: Path) -> None:
    file = authors_file("PE-Activity-HiC")
    info = import_checkpoint(file, tmp_path / "m")
    assert info.assembly == "hg38"
    assert info.cell_type == "K562"
    assert info.target == "expression_rna"
    assert info.preset == "published"
    assert info.fold == fold_info(11)
    assert info.training == {"epoch": 3, "validation_r2": 0.5}
    assert info.source is not None
    assert info.source.name == file.name
    assert info.source.sha256 == read_published(file).metadata.sha256
    loaded = load_model(tmp_path / "m")
    assert loaded.info == info
    expected = read_published(file).state
    found = loaded.model.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_import_says_what_it_does_not_know_and_takes_it_from_the_caller(
    authors_file: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = authors_file("PE", name="x.pt")
    with caplog.at_level(logging.WARNING):
        info = import_checkpoint(file, tmp_path / "a")
    assert (info.fold, info.target, info.assembly, info.cell_type) == (None, None, None, None)
    for option in ("--fold", "--target", "--assembly", "--cell-type"):
        assert option in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        info = import_checkpoint(
            file, tmp_path / "b", fold=4, target="expression_cage", assembly="hg19", cell_type="HepG2"
        )
    assert info.fold == fold_info(4)
    assert (info.target, info.assembly, info.cell_type) == ("expression_cage", "hg19", "HepG2")
    assert caplog.text == ""


def test_import_refuses_before_it_writes(authors_file: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no fold 13"):
        import_checkpoint(authors_file(), tmp_path / "m", fold=13)
    assert not (tmp_path / "m").exists()


@pytest.mark.real_data
def test_real_files_round_trip_bit_exact(shared_data: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted((shared_data / "published").glob("*.pt"))):
        info = import_checkpoint(file, tmp_path / str(number))
        loaded = load_model(tmp_path / str(number))
        expected = read_published(file).state
        found = loaded.model.state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in found)
        if file.name.startswith("fold_11"):
            assert info.fold is not None
            assert info.fold.test == ("22", "X")
            assert info.assembly == "hg38"

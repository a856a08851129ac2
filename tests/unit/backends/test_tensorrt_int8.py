"""The TensorRT backend on a GPU made of the CPU: which plan is loaded, what lies where, what becomes of an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")

from edge.backends import Shape, open_backend
from edge.backends._trt_gpu import gpu_name, power_mode_of
from edge.backends._trt_prepare import Built, halve, key_of, prepare
from edge.backends._trt_releases import RELEASES, Log, Toolkit, load_toolkit, release_of
from edge.backends.tensorrt_int8 import Tensorrt
from edge.catalog import Engine, open_catalog, read_engine, shipped_folder
from edge.clock import SECOND
from edge.errors import ConfigError, EngineFault, EngineRefused
from edge.frame import Pixels
from edge.plans import PlanCache
from tests.fake_gpu import RUNTIME, FakeCard, Maker, on_fake_gpu

ENGINE = open_catalog([]).family("handbuilt", "ultrasound")["small"]
TRAINED = read_engine(shipped_folder() / "ultrasound-clarity-small")
SHAPE = Shape(64, 72, 8)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.cache, self.card, self.maker = PlanCache(folder), FakeCard(), Maker()
        self.backend: Tensorrt = on_fake_gpu(self.cache, self.card, self.maker)

    def key(self, shape: Shape | None = SHAPE, **changes: str):
        key = key_of(ENGINE, shape, 8, runtime=RUNTIME, gpu=self.card.gpu)
        return msgspec.structs.replace(key, **changes)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "plans")


def picture(seed: int = 1, shape: Shape = SHAPE) -> Pixels:
    rng = np.random.default_rng(seed)
    return cast("Pixels", rng.integers(0, shape.full_scale, (shape.height, shape.width)).astype(shape.blank().dtype))


def computed(session, grey: Pixels) -> Pixels:
    session.start(grey, 1.0)
    assert session.wait(20 * SECOND)
    return session.result().copy()


# ---------------------------------------------------------------- which plan


def test_a_plan_is_built_once_and_found_again(rig: Rig) -> None:
    rig.backend.open(ENGINE, SHAPE).close()
    rig.backend.open(ENGINE, SHAPE).close()
    on_fake_gpu(rig.cache, rig.card, rig.maker).open(ENGINE, SHAPE).close()  # after a restart
    assert len(rig.maker.built) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("runtime", "fake 0.9", "another runtime"), ("gpu", "sm86", "another GPU"),
        ("recipe", "older", "another version of this program"), ("model", "cd" * 32, "another model"),
    ],
)  # fmt: skip
def test_a_stale_or_foreign_plan_is_built_again_and_never_loaded(
    rig: Rig, field: str, value: str, message: str
) -> None:
    foreign = rig.cache.store(rig.key(**{field: value}), b"would crash the runtime", 1.0)
    mine = rig.cache.folder / rig.key().slot
    if foreign != mine:
        foreign.replace(mine)
    session = rig.backend.open(ENGINE, SHAPE)
    assert len(rig.maker.built) == 1
    assert message in rig.backend.notes[0]
    assert len(rig.card.programs) == 1  # the foreign one was not given to the runtime at all
    assert rig.cache.load(rig.key()) != b"would crash the runtime"
    session.close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda whole: b"ptrt" * 100, "the file is no plan"), (lambda whole: whole[: len(whole) // 2], "cut short"),
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "not those that were built"),
        (lambda whole: whole.replace(b'"gpu":"sm00 none"', b'"gpu":"sm87 Orin"'), "another GPU"),
        (lambda whole: whole.replace(b'"runtime":"fake 1.0', b'"runtime":"fake 0.9'), "another runtime"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_refused_in_its_own_words_and_what_runs_goes_on(
    rig: Rig, wrong: Callable[[bytes], bytes], message: str
) -> None:
    active = rig.backend.open(ENGINE, SHAPE)
    first = computed(active, picture())
    file = rig.cache.folder / rig.key().slot
    whole = file.read_bytes()
    assert wrong(whole) != whole
    file.write_bytes(wrong(whole))

    def cannot(engine: Engine, shape: Shape) -> Built:
        raise EngineRefused("nothing can be built today")

    broken = Tensorrt(rig.card, RUNTIME, cannot, rig.cache)
    with pytest.raises(EngineRefused, match="nothing can be built today"):
        broken.open(ENGINE, SHAPE)
    assert message in broken.notes[0]
    assert len(rig.card.programs) == 1  # it was not given to the runtime
    active.forget()
    assert np.array_equal(computed(active, picture()), first)
    active.close()


def test_what_an_opening_had_to_work_round_is_noted_and_nothing_else(rig: Rig) -> None:
    rig.backend.open(ENGINE, SHAPE).close()
    started = "each frame is started by enqueue: there is no GPU"
    assert [note.split(" in ")[0] for note in rig.backend.notes] == ["built", started]
    rig.backend.open(ENGINE, SHAPE).close()
    assert rig.backend.notes == [started]


def test_a_whole_plan_that_the_runtime_will_not_have_is_built_again(rig: Rig) -> None:
    rig.cache.store(rig.key(), b"built on a bad day", 1.0)
    rig.backend.open(ENGINE, SHAPE).close()
    assert "another runtime" in rig.backend.notes[0]
    assert len(rig.maker.built) == 1


def test_a_plan_for_any_size_serves_a_size_that_has_none_of_its_own(rig: Rig) -> None:
    open_sides = prepare(halve(ENGINE), None, 8)
    rig.cache.store(rig.key(None), open_sides.content, 1.0)
    served = rig.backend.open(ENGINE, SHAPE)
    assert rig.maker.built == []
    own = Rig(rig.cache.folder / "other").backend.open(ENGINE, SHAPE)
    for seed in range(3):
        assert np.array_equal(computed(served, picture(seed)), computed(own, picture(seed)))


def test_another_power_mode_is_another_plan_and_the_first_one_stays(rig: Rig) -> None:
    rig.backend.open(ENGINE, SHAPE).close()
    rig.card.power_mode = "15W"
    rig.backend.open(ENGINE, SHAPE).close()
    rig.card.power_mode = ""
    rig.backend.open(ENGINE, SHAPE).close()
    assert len(rig.maker.built) == 2


def test_ten_twelve_and_sixteen_bits_share_a_plan_and_eight_has_its_own(rig: Rig) -> None:
    for bits in (10, 12, 16, 8):
        rig.backend.open(ENGINE, Shape(64, 72, bits)).close()
    assert len(rig.maker.built) == 2


def test_an_engine_altered_after_its_plan_was_built_is_refused(rig: Rig, tmp_path: Path) -> None:
    import shutil

    home = tmp_path / "engine"
    shutil.copytree(ENGINE.folder, home)
    copy = read_engine(home)
    rig.backend.open(copy, SHAPE).close()
    copy.model_path.write_bytes(copy.model_path.read_bytes() + b"\0")
    with pytest.raises(EngineRefused, match="damaged or altered"):
        rig.backend.open(copy, SHAPE)


# ---------------------------------------------------------------- what lies where


def test_states_ping_pong_between_two_addresses_and_are_never_copied(rig: Rig) -> None:
    session = rig.backend.open(TRAINED, SHAPE)
    (program,) = rig.card.programs
    one, other = program.bound[0], program.bound[1]
    for state in TRAINED.manifest.state:
        assert one[f"{state.name}_in"] == other[f"{state.name}_out"]
        assert one[f"{state.name}_out"] == other[f"{state.name}_in"]
        assert one[f"{state.name}_in"] != one[f"{state.name}_out"]
    moving = {f"{state.name}_{end}" for state in TRAINED.manifest.state for end in ("in", "out")}
    assert {name for name in one if one[name] != other[name]} == moving
    program.launched.clear()
    for seed in range(4):
        computed(session, picture(seed))
    assert program.launched in ([0, 1, 0, 1], [1, 0, 1, 0])


def test_forgetting_clears_the_side_that_is_read_next_and_no_other(rig: Rig) -> None:
    session = rig.backend.open(TRAINED, SHAPE)
    (program,) = rig.card.programs
    computed(session, picture(1))
    program.cleared.clear()
    session.forget()
    computed(session, picture(2))
    turn = program.launched[-1]
    assert program.cleared == [program.bound[turn][f"{state.name}_in"] for state in TRAINED.manifest.state]
    program.cleared.clear()
    computed(session, picture(3))
    assert program.cleared == []


def test_a_state_that_only_a_convolution_writes_takes_half_the_memory(rig: Rig) -> None:
    rig.backend.open(TRAINED, SHAPE)
    (program,) = rig.card.programs
    assert program.half_ports() == {"hidden_in", "hidden_out"}


# ---------------------------------------------------------------- what goes wrong


def test_a_fault_of_the_gpu_is_a_fault_of_this_frame(rig: Rig) -> None:
    session = rig.backend.open(ENGINE, SHAPE)
    rig.card.sick = "CUDA: an illegal memory access was encountered"
    session.start(picture(), 1.0)
    assert session.wait(SECOND)
    with pytest.raises(EngineFault, match="illegal memory access"):
        session.result()
    rig.card.sick = ""
    assert computed(session, picture()).any()


def test_a_card_that_fails_while_it_warms_up_is_refused_and_lets_go_of_its_memory(rig: Rig) -> None:
    rig.card.sick = "CUDA: out of memory"
    with pytest.raises(EngineRefused, match="out of memory"):
        rig.backend.open(ENGINE, SHAPE)
    assert all(program.closed for program in rig.card.programs)


def test_a_result_that_is_not_finite_is_a_fault_though_integers_cannot_say_so(rig: Rig) -> None:
    session = rig.backend.open(ENGINE, SHAPE)
    session.start(picture(), float("nan"))
    assert session.wait(20 * SECOND)
    with pytest.raises(EngineFault, match="not-finite"):
        session.result()
    assert computed(session, picture()).any()


def test_a_closed_session_starts_nothing(rig: Rig) -> None:
    session = rig.backend.open(ENGINE, SHAPE)
    session.close()
    with pytest.raises(EngineFault, match="closed"):
        session.start(picture(), 1.0)


def test_without_a_gpu_nothing_else_computes_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.backends.tensorrt_int8.open_card", no_card)
    with pytest.raises(ConfigError, match=r"tensorrt|no NVIDIA GPU"):
        open_backend("tensorrt_int8", 0)


def no_card(toolkit: Toolkit) -> FakeCard:
    raise ConfigError("no NVIDIA GPU is here")


# ---------------------------------------------------------------- releases and devices


@pytest.mark.parametrize(
    ("runtime", "version", "where"),
    [
        ("tensorrt", "10.3.0", "JetPack 6"), ("tensorrt", "10.16.1.11", "JetPack 7.2"),
        ("tensorrt", "11.4.0.106", "newer JetPack 7"), ("tensorrt-rtx", "1.7.1.116", "x86 with an RTX card"),
    ],
)  # fmt: skip
def test_a_release_is_known_by_its_version(runtime: str, version: str, where: str) -> None:
    assert release_of(runtime, version).where == where


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0", "12.0.0", "", "next"])
def test_a_release_that_was_never_checked_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="not served"):
        release_of("tensorrt", version)


def test_rows_of_one_runtime_do_not_overlap() -> None:
    for row in RELEASES:
        assert [other for other in RELEASES if other.runtime == row.runtime and other.first <= row.first < other.before
                ] == [row]  # fmt: skip


def test_an_unknown_runtime_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="tensorrt, tensorrt-rtx"):
        load_toolkit("tensorflow")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("libnvdla_compiler.so: cannot open shared object file", "nvidia-l4t-dla-compiler"),
        ("No module named 'tensorrt'", "JetPack"),
    ],
)
def test_a_library_that_cannot_be_loaded_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, error: str, remedy: str
) -> None:
    def fail(name: str) -> None:
        raise ImportError(error)

    monkeypatch.setattr("edge.backends._trt_releases.importlib.import_module", fail)
    with pytest.raises(ConfigError, match=remedy):
        load_toolkit("tensorrt")


def test_a_plan_is_bound_to_a_model_of_gpu_but_for_rtx_to_its_kind() -> None:
    ours = Toolkit(None, release_of("tensorrt", "10.3.0"), "10.3.0", Log([]))
    rtx = Toolkit(None, release_of("tensorrt-rtx", "1.7.1"), "1.7.1", Log([]))
    assert gpu_name(ours, 87, "Orin") == "sm87 Orin"
    assert gpu_name(rtx, 89, "NVIDIA GeForce RTX 4090") == "sm89"


@pytest.mark.parametrize(
    ("said", "mode"),
    [("NV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER"), ("NV Power Mode: 15W\n0", "15W"), ("", "unknown")],
)
def test_the_power_mode_is_read_from_the_boards_own_tool(said: str, mode: str) -> None:
    assert power_mode_of(said) == mode

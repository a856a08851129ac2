"""`limpid engine ...` as its users run it: from a key to a signed bundle, to an active engine, and back."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx")

from edge import bundle_source
from edge.catalog import Catalog, as_chosen, read_engine
from edge.cli import app
from edge.commands import engine as command
from edge.errors import ConfigError, EngineRefused
from tests.engine_making import NAME, make_unsafe, make_version


class Bench:
    """A configuration with a store, a key, and the command line."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "store"
        self.store.mkdir()
        self.config = home / "limpid.toml"
        sockets = "\n".join(f'{name} = "ipc://{home}/{name}"' for name in ("pictures", "control", "events"))
        self.config.write_text(f'[engines]\nfolders = ["{self.store}"]\n[sockets]\n{sockets}\n')
        self.key = self.say("keys", "make", str(home / "key"), config=False)["key"]

    def run(self, *words: str, config: bool = True) -> tuple[int, str]:
        more = ["--config", str(self.config)] if config else []
        done = CliRunner().invoke(app, ["engine", *words, *more, "--json"], catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout

    def say(self, *words: str, config: bool = True, status: int = 0) -> dict[str, Any]:
        code, out = self.run(*words, config=config)
        assert code == status, out
        return json.loads(out)

    def bundle(self, version: str, to: Path | None = None) -> Path:
        made = make_version(self.home / f"made-{version}", version)
        place = to or self.home
        words = (
            "bundle",
            NAME,
            "--key",
            str(self.home / "key"),
            "--folder",
            str(made.folder.parent),
            "--to",
            str(place),
        )
        return Path(self.say(*words, config=False)["bundle"])

    def trusting(self) -> Bench:
        self.say("keys", "trust", str(self.home / "key.pub"))
        return self

    def states(self) -> dict[str, str]:
        rows = self.say("list")["engines"]
        return {row["version"]: row["state"] for row in rows if row["name"] == NAME}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the device's verification finds; how it finds it is tested elsewhere."""

    def find(*, passed: bool = True, precision: str = "int8", backend: str = "openvino_cpu") -> None:
        found = SimpleNamespace(
            passed=passed, chosen_precision=precision, verdict=f"{precision} is chosen" if passed else "not parity",
            backend=backend, as_dict=dict,
        )  # fmt: skip
        monkeypatch.setattr(command, "verifier", lambda _desk: lambda _engine: found)

    find()
    return find


def test_from_the_key_to_the_picture_and_back(bench: Bench, verified: Callable[..., None]) -> None:
    path = bench.bundle("2")
    refused = bench.say("install", str(path), status=1)
    assert "not trusted here" in refused["bundles"][0]["error"]
    bench.trusting()
    told = bench.say("install", str(path))["bundles"][0]
    assert (told["name"], told["version"], told["key"], told["new"]) == (NAME, "2", bench.key, True)
    assert bench.states() == {"1": "shipped", "2": "installed"}
    with pytest.raises(EngineRefused, match="nobody has judged it"):
        bench.run("activate", NAME)
    told = bench.say("activate", NAME, "--unjudged")
    assert told["daemon"]["daemon"].startswith("none answers")
    assert bench.states() == {"2": "active"}
    told = bench.say("rollback", NAME, "--reason", "to try it")
    assert told["version"] == "1"
    assert bench.states() == {"1": "shipped", "2": "installed"}
    bench.say("remove", NAME, "--version", "2")
    assert bench.states() == {"1": "shipped"}
    log = bench.say("log")
    assert log["verdict"]["faults"] == []
    assert [entry["did"].removeprefix("engine-") for entry in log["entries"]] == [
        "refused", "key-trusted", "installed", "refused", "activating", "activated", "rolling-back", "rolled-back",
        "removed",
    ]  # fmt: skip
    assert log["entries"][5]["facts"]["waived"] == ["unjudged"]


def test_what_does_not_hold_on_this_device_is_not_activated(bench: Bench, verified: Callable[..., None]) -> None:
    bench.trusting().say("install", str(bench.bundle("2")))
    verified(passed=False)
    with pytest.raises(EngineRefused, match="handbuilt-small 2: not parity"):
        bench.run("activate", NAME, "--unjudged")
    assert bench.states() == {"1": "shipped", "2": "installed"}
    assert bench.say("log")["entries"][-1]["facts"]["why"] == "not parity"


def test_where_float_is_the_honest_one_it_is_what_runs_and_only_on_that_backend(
    bench: Bench, verified: Callable[..., None]
) -> None:
    made = make_version(bench.home / "made", "2")
    (made.folder / "fp32.onnx").write_bytes(made.read_model())
    text = (made.folder / "manifest.toml").read_text()
    twin = f'fp32 = "fp32.onnx"\nfp32_sha256 = "{made.manifest.sha256}"\nprecision = '
    (made.folder / "manifest.toml").write_text(text.replace("precision = ", twin))
    words = ("--key", str(bench.home / "key"), "--folder", str(made.folder.parent), "--to", str(bench.home / "b"))
    bench.say("bundle", NAME, *words, config=False)
    bench.trusting().say("install", str(bench.home / "b"))
    verified(precision="fp32")
    bench.say("activate", NAME, "--unjudged")
    engine = Catalog([bench.store]).engines[NAME]
    assert as_chosen(engine, "openvino_cpu").manifest.precision == "fp32"
    assert as_chosen(engine, "tensorrt_int8").manifest.precision == "int8"
    row = next(row for row in bench.say("list")["engines"] if row["name"] == NAME)
    assert (row["precision"], row["why"], row["state"]) == ("fp32", "fp32 is chosen", "active")


def test_a_stick_with_several_bundles_is_installed_bundle_by_bundle(bench: Bench) -> None:
    stick = bench.home / "stick"
    stick.mkdir()
    bench.trusting().bundle("2", stick)
    good = bench.bundle("3", stick)
    (stick / "cut.limpid-engine").write_bytes(good.read_bytes()[:5000])
    (stick / "link.limpid-engine").symlink_to(good)
    (stick / "holiday.jpg").write_bytes(b"")
    told = bench.say("install", str(stick), status=1)["bundles"]
    assert [each["ok"] for each in told] == [False, True, True]
    assert "cut short" in told[0]["error"]
    assert bench.states() == {"1": "shipped", "2": "installed", "3": "installed"}
    (bench.home / "empty").mkdir()
    with pytest.raises(ConfigError, match="no bundle"):
        bench.run("install", str(bench.home / "empty"))


def test_an_older_one_is_only_taken_on_purpose(bench: Bench, verified: Callable[..., None]) -> None:
    newer, older = bench.bundle("3"), bench.bundle("2")
    bench.trusting().say("install", str(newer))
    bench.say("activate", NAME, "--unjudged")
    told = bench.say("install", str(older), status=1)["bundles"][0]
    assert "older than the active 3" in told["error"]
    bench.say("install", str(older), "--allow-downgrade")
    with pytest.raises(EngineRefused, match="older than the active 3"):
        bench.run("activate", NAME, "--version", "2", "--unjudged")
    bench.say("activate", NAME, "--version", "2", "--unjudged", "--allow-downgrade")
    assert bench.states() == {"2": "active", "3": "previous"}


def test_a_revoked_key_says_which_engines_it_takes_along(bench: Bench, verified: Callable[..., None]) -> None:
    bench.trusting().say("install", str(bench.bundle("2")))
    bench.say("activate", NAME, "--unjudged")
    assert bench.say("keys", "revoke", bench.key)["engines"] == [f"{NAME} 2"]
    assert bench.states() == {"1": "shipped", "2": "refused"}
    assert bench.say("keys", "list")["keys"] == {bench.key: "revoked"}


def test_what_could_never_be_installed_is_not_even_signed(bench: Bench) -> None:
    made = make_version(bench.home / "made", "latest")
    words = ("--key", str(bench.home / "key"), "--folder", str(made.folder.parent), "--to", str(bench.home / "b"))
    with pytest.raises(EngineRefused, match="not of the form"):
        bench.run("bundle", NAME, *words, config=False)
    (made.folder / "model.onnx").write_bytes(b"altered")
    with pytest.raises(EngineRefused):
        bench.run("bundle", NAME, *words, config=False)
    unsafe = make_unsafe(bench.home / "unsafe")
    words = ("--key", str(bench.home / "key"), "--folder", str(unsafe.folder.parent), "--to", str(bench.home / "b"))
    with pytest.raises(EngineRefused, match="found unsafe"):  # by its judge
        bench.run("bundle", NAME, *words, config=False)


def test_the_table_is_for_people(bench: Bench) -> None:
    make_unsafe(bench.store)
    done = CliRunner().invoke(app, ["engine", "list", "--config", str(bench.config)])
    assert done.exit_code == 0
    assert "handbuilt-small" in done.stdout
    assert "found unsafe by" in done.stdout


# ---------------------------------------------------------------- from a web server


class Server(http.server.BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path.startswith("/engine"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content if self.path == "/engine" else self.content[:3000])
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Server, "content", bench.bundle("2").read_bytes())
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


def test_a_bundle_comes_over_the_network_as_from_a_stick(bench: Bench, server: str) -> None:
    told = bench.trusting().say("install", f"{server}/engine")["bundles"][0]
    assert (told["ok"], told["version"]) == (True, "2")
    assert bench.states()["2"] == "installed"


@pytest.mark.parametrize(
    ("path", "words"), [("/engine-cut", "cut short"), ("/nothing", "404"), ("/away", "is not allowed")]
)
def test_what_goes_wrong_on_the_way_is_said(bench: Bench, server: str, path: str, words: str) -> None:
    told = bench.trusting().say("install", server + path, status=1)["bundles"][0]
    assert words in told["error"]
    assert bench.states() == {"1": "shipped"}


def test_a_server_that_is_not_there_is_said_and_no_password_is_told(bench: Bench) -> None:
    told = bench.say("install", "http://nurse:secret@127.0.0.1:9/engine?token=abc", status=1)["bundles"][0]
    assert "cannot be reached" in told["error"]
    assert "secret" not in json.dumps(told)
    assert "abc" not in json.dumps(told)


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.limpid-engine")
    with pytest.raises(ConfigError, match="is no file"), bundle_source.opened(str(tmp_path / "pipe.limpid-engine")):
        pass
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link.limpid-engine").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError), bundle_source.opened(str(tmp_path / "link.limpid-engine")):
        pass
    with pytest.raises(ConfigError, match="No such file"), bundle_source.opened(str(tmp_path / "nowhere")):
        pass


def test_an_engine_that_was_never_verified_here_runs_as_it_is(tmp_path: Path) -> None:
    engine = make_version(tmp_path, "2")
    (engine.folder / "verified.json").write_text("{broken")
    again = read_engine(engine.folder)
    assert again.choice is None
    assert as_chosen(again, "openvino_cpu") is again

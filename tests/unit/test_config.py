"""Every mistake an operator can make in a configuration, and what the message must name."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

import edge.backends
import edge.displays
import edge.sources
from edge import config as configs
from edge import plugins
from edge.access.curve import ClientKey, new_pair, save
from edge.clock import MonotonicClock
from edge.commands import config_check
from edge.commands.config_check import check
from edge.commands.here import address_of, key_to
from edge.commands.run import processes
from edge.config import Config, load, parse
from edge.errors import ConfigError
from edge.sources import open_source


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_nothing_at_all_is_a_working_configuration() -> None:
    assert load(None) == parse("") == Config()
    assert list(Config().source) == ["zeromq"]


def test_what_is_said_is_taken_and_the_rest_keeps_its_default() -> None:
    config = parse('[live]\ndeadline_ms = 16\n[engines]\nultrasound = "speckle"\n[source.replay]\npath = "x"')
    assert config.live.deadline_ms == 16
    assert config.live.max_age_ms == Config().live.max_age_ms
    assert config.engines.ultrasound == "speckle"
    assert config.source == {"replay": {"path": "x"}}


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse("").live.deadline_ms = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[live]\ndeadine_ms = 33", 'unknown key "deadine_ms" in [live]; did you mean "deadline_ms"?'),
        ("[engine]\nthreads = 1", 'unknown key "engine"; did you mean "engines"?'),
        ("[sockets]\npicture = 'ipc:///tmp/x'", 'unknown key "picture" in [sockets]; did you mean "pictures"?'),
        ("[live]\nzzz = 1", 'unknown key "zzz" in [live]; known: deadline_ms'),
    ],
)
def test_an_unknown_key_is_told_its_place_and_the_right_name(text: str, said: str) -> None:
    assert complaint(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[live]\ndeadline_ms = "fast"', "[live.deadline_ms]"),
        ("[live]\nmax_streams = 1.5", "[live.max_streams]"),
        ("[engines]\nfolders = 'one'", "[engines.folders]"),
        ("[engines]\nfolders = [1]", "[engines.folders"),
        ("[sockets]\nevents = 5573", "[sockets.events]"),
        ("live = 3", "[live]"),
        ("source = 'zeromq'", "[source]"),
        ("[source]\nzeromq = 1", "[source"),
    ],
)
def test_a_wrong_type_is_told_with_its_key(text: str, where: str) -> None:
    said = complaint(text)
    assert said.startswith(where)
    assert "xpected" in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deadline_ms", 0), ("deadline_ms", 1001), ("max_age_ms", 9),
        ("strength_percent", -1), ("strength_percent", 100.5),
        ("recent_seconds", 0), ("recent_megabytes", 15), ("watchdog_s", 0.1), ("max_streams", 0), ("max_streams", 33),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_told_with_its_key(key: str, value: float) -> None:
    assert f"[live.{key}]" in complaint(f"[live]\n{key} = {value}")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("key", ["deadline_ms", "strength_percent", "recent_seconds", "watchdog_s"])
def test_a_number_that_is_none_is_refused(key: str, value: str) -> None:
    assert key in complaint(f"[live]\n{key} = {value}")


@pytest.mark.parametrize("rungs", ['["huge"]', '["large", "meduim"]', "[]"])
def test_a_rung_that_does_not_exist_is_refused_and_so_is_none_at_all(rungs: str) -> None:
    assert complaint(f"[engines]\nrungs = {rungs}").startswith("[engines.rungs")


def test_an_age_limit_below_the_deadline_is_refused() -> None:
    assert "max_age_ms is shorter than deadline_ms" in complaint("[live]\ndeadline_ms = 50\nmax_age_ms = 40")


def test_two_sources_are_one_too_many_and_none_is_one_too_few() -> None:
    assert "exactly one kind, has 2" in complaint("[source.zeromq]\n[source.replay]\npath = 'x'")
    assert "exactly one kind, has 0" in complaint("source = {}")


def test_two_sockets_cannot_share_an_address() -> None:
    one = 'tcp://127.0.0.1:6000"'
    assert "share one address" in complaint(f'[sockets]\npictures = "{one}\nevents = "{one}')


def test_an_address_without_a_transport_is_refused() -> None:
    assert '"localhost:5571"' in complaint('[sockets]\npictures = "localhost:5571"')


@pytest.mark.parametrize("address", ["tcp://nonsense", "tcp://127.0.0.1", "tcp://127.0.0.1:port"])
def test_a_tcp_address_without_a_port_is_refused(address: str) -> None:
    assert "names no port" in complaint(f'[sockets]\npictures = "{address}"')


def test_what_is_not_toml_is_said_with_its_line() -> None:
    said = complaint("[live]\ndeadline_ms = = 3")
    assert said.startswith("not TOML")
    assert "line 2" in said


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: No such file"):
        load(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"[live]\n\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: not UTF-8 text"):
        load(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path)


def test_a_mistake_in_a_file_names_the_file_first(tmp_path: Path) -> None:
    path = tmp_path / "limpid.toml"
    path.write_text("[live]\ndeadlin_ms = 3")
    with pytest.raises(ConfigError, match=r'limpid\.toml: unknown key "deadlin_ms" in \[live\]; did you mean'):
        load(path)


@pytest.mark.parametrize("package", [edge.sources, edge.displays, edge.backends])
def test_an_unknown_plugin_is_told_the_known_ones(package: object) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.load(package, "teleport")  # type: ignore[arg-type]
    for kind in plugins.kinds(package):  # type: ignore[arg-type]
        assert kind in str(caught.value)


def test_a_private_file_is_no_plugin() -> None:
    with pytest.raises(ConfigError, match="unknown source"):
        plugins.load(edge.sources, "_feed")


def test_the_options_of_a_plugin_are_checked_like_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'unknown key "widht" in \[source.phantom\]; did you mean "width"'):
        open_source("phantom", {"widht": 640}, MonotonicClock())
    path = tmp_path / "limpid.toml"
    path.write_text("[source.phantom]\nwidth = 'wide'")
    with pytest.raises(ConfigError, match=r"\[source.phantom.width\]"):
        check(path)
    path.write_text("[display.teleport]")
    with pytest.raises(ConfigError, match='unknown display "teleport"; known: '):
        check(path)
    path.write_text('[engines]\nbackend = "abacus"')
    with pytest.raises(ConfigError, match='unknown backend "abacus"; known: classical, openvino_cpu'):
        check(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[capture]\nclip_second = 3", 'unknown key "clip_second" in [capture]; did you mean "clip_seconds"?'),
        ('[capture]\ncompression = "zip"', "[capture.compression]"),
        ("[capture]\nbarcode = '('", "[capture] barcode is no regular expression"),
        ("[capture]\nbarcode = '.*'", "[capture] barcode needs named groups, of: accession"),
        ("[capture]\nbarcode = '(?P<nam>.*)'", "[capture] barcode needs named groups"),
        ('[station]\nae_title = "SEVENTEEN CHARSXX"', "[station.ae_title]"),
        ('[station]\nuid_root = "1.02"', "[station.uid_root]"),
        ('[worklist]\nhosts = "x"', 'unknown key "hosts" in [worklist]; did you mean "host"?'),
        ('[worklist.tls]\ncert = "x"', "cert"),
        ('[mpps]\nmodality = "CT"', "[mpps.modality]"),
    ],
)
def test_mistakes_around_captures_are_told_like_all_others(text: str, said: str) -> None:
    assert said in complaint(text)


def test_the_tables_of_outbox_and_destinations_are_checked_by_those_who_read_them(tmp_path: Path) -> None:
    path = tmp_path / "limpid.toml"
    path.write_text("[outbox]\nretention = 3")
    with pytest.raises(ConfigError, match='unknown key "retention" in \\[outbox\\]; did you mean "retention_hours"'):
        check(path)
    path.write_text('[destination.pacs.dimse]\nhots = "x"')
    with pytest.raises(ConfigError, match=r"\[destination.pacs.dimse\]"):
        check(path)
    path.write_text("[destination.pacs]\nsend = 'both'")
    with pytest.raises(ConfigError, match="needs one table of its kind"):
        check(path)


def test_somebody_sends_only_where_there_is_somebody_to_send_to() -> None:
    assert processes(parse("")) == ["live"]
    assert processes(parse('[mpps]\nhost = "x"')) == ["live", "forward"]
    assert processes(parse('[destination.a.folder]\npath = "x"')) == ["live", "forward"]


def test_every_setting_has_a_default_that_is_valid_itself() -> None:
    defaults = msgspec.to_builtins(Config())
    assert configs.parse_section(defaults, Config, "") == Config()


def test_an_operators_command_finds_the_daemon_where_this_site_has_it(tmp_path: Path) -> None:
    site = tmp_path / "limpid.toml"
    assert address_of("control", "tcp://otherwise", site) == "tcp://otherwise"
    site.write_text('[sockets]\ncontrol = "ipc:///run/limpid/control"')
    assert address_of("control", "tcp://otherwise", site) == "ipc:///run/limpid/control"
    site.write_text('[sockets]\ncontrol = "tcp://0.0.0.0:5572"')
    assert address_of("control", "tcp://otherwise", site) == "tcp://127.0.0.1:5572"
    site.write_text("[sockets")
    assert address_of("control", "tcp://otherwise", site) == "tcp://otherwise"


def test_an_operators_command_shows_this_hosts_key_where_its_daemon_asks_for_one(tmp_path: Path) -> None:
    site, own = tmp_path / "limpid.toml", tmp_path / "own.key"
    pair = new_pair()
    save(own, ClientKey(pair.public, pair.secret, server=new_pair().public))
    site.write_text(f'[keys]\nclient = "{own}"\n[sockets]\ncontrol = "tcp://0.0.0.0:5572"')
    key = key_to("tcp://127.0.0.1:5572", site)
    assert key is not None
    assert key.public == pair.public
    assert key_to("tcp://127.0.0.1:5571", site) is None  # pictures: bound to this host alone
    assert key_to("tcp://192.168.1.7:5572", site) is None  # somebody else's


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[source.zeromq]\nbind = "ipc:///tmp/one"\n[sockets]\npictures = "ipc:///tmp/one"', "share one address"),
        ("[panel]\ngsdf_luminance = [3, 1]", "rising"),
        ('[console]\nhost = "0.0.0.0"', "certificate and key"),
        ('[console]\ncertificate = "c.pem"', "belong together"),
    ],
)
def test_a_check_refuses_what_a_process_would_refuse(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "limpid.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        check(path)


def test_a_check_tells_what_is_still_missing_on_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, keys = tmp_path / "limpid.toml", tmp_path / "keys"
    path.write_text(f'[keys]\nfolder = "{keys}"\n[sockets]\npictures = "tcp://0.0.0.0:5571"')
    assert config_check.run(path, as_json=True) == 0
    (missing,) = json.loads(capsys.readouterr().out)["missing_here"]
    assert missing.startswith('[sockets] pictures = "tcp://0.0.0.0:5571"')
    assert "no server key" in missing
    keys.mkdir()
    (keys / "server.key").touch()
    assert config_check.run(path, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["missing_here"] == []

"""TOML -> frozen structs. A stranger among the keys stops the start and is told the right name.

Every setting has a default, so an empty file (or none) is a working configuration.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edge.errors import ConfigError
from edge.exam import Order, Patient

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its older name
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

T = TypeVar("T", bound=msgspec.Struct)
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Rung = Literal["large", "medium", "small", "classical", "original"]
LADDER: tuple[Rung, ...] = ("large", "medium", "small", "classical", "original")
TCP = re.compile(r"tcp://.+:(\d{1,5}|\*)")


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[live]: the frame deadline and what happens around it."""

    deadline_ms: Annotated[float, msgspec.Meta(ge=2, le=1000)] = 33.0
    max_age_ms: Annotated[float, msgspec.Meta(ge=10, le=5000)] = 100.0
    strength_percent: Percent = 80.0
    recent_seconds: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    recent_megabytes: Annotated[int, msgspec.Meta(ge=16)] = 256
    watchdog_s: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 3.0
    max_streams: Annotated[int, msgspec.Meta(ge=1, le=32)] = 8


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[engines]: which family treats which modality, and on what."""

    folders: tuple[str, ...] = ()  # searched before the shipped ones; engines are installed into the first
    keys: str = ""  # a folder: whose signed engines are taken; empty: .keys in each of the folders
    ultrasound: str = "ultrasound-clarity"
    fluoroscopy: str = "fluoroscopy-clarity"
    unknown: str = "handbuilt"
    backend: str = "openvino_cpu"
    threads: Count = 0  # 0: one a core
    rungs: Annotated[tuple[Rung, ...], msgspec.Meta(min_length=1)] = LADDER
    max_change_percent: Percent = 12.0  # mean change inside the region beyond which a result is refused


class Sockets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sockets]: ipc:// or tcp:// addresses the daemon binds."""

    pictures: str = "tcp://127.0.0.1:5571"
    control: str = "tcp://127.0.0.1:5572"
    events: str = "tcp://127.0.0.1:5573"


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[keys]: who may connect to what can be reached from other machines."""

    folder: str = ""  # the server key and the list of clients; empty: "keys" beside the outbox
    client: str = ""  # with which this host's console, panel and commands connect; empty: own.key in the folder
    loopback: bool = False  # ask for keys on tcp://127.0.0.1 as well


AeTitle = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
ShortText = Annotated[str, msgspec.Meta(max_length=16)]
LongText = Annotated[str, msgspec.Meta(max_length=64)]
UidRoot = Annotated[str, msgspec.Meta(max_length=24, pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]
Interval = tuple[float, float]


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[station]: this appliance, as its objects and its peers name it."""

    name: ShortText = "LIMPID"
    ae_title: AeTitle = "LIMPID"
    manufacturer: LongText = "Limpid"
    model: LongText = "Limpid Edge"
    serial: LongText = ""
    institution: LongText = ""
    department: LongText = ""
    uid_root: UidRoot = "2.25"  # under which new UIDs are made; 2.25 needs no registration


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[capture]: what the capture button stores, and how much memory it may hold meanwhile."""

    folder: str = ""  # exams and their notices to the archive; empty: beside the outbox
    compression: Literal["jpeg-ls", "rle", "none"] = "jpeg-ls"
    burn_label: bool = False  # ENHANCED, into a corner of the enhanced pixels
    lossy_source: bool = False  # the scanner's own stream was compressed with loss
    clip_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 60.0
    clip_megabytes: Annotated[int, msgspec.Meta(ge=16)] = 512  # of all captures that are not stored yet
    barcode: str = "(?P<id>.+)"  # what a barcode holds: groups named as the patient's and the order's fields
    exam_idle_minutes: Annotated[float, msgspec.Meta(ge=0)] = 120.0  # then an open exam is closed; 0: never


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[worklist.tls], [mpps.tls]: files in PEM. Without `ca` the system's authorities are trusted."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""  # where the certificate names something else than the configured host


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DICOM service on the network."""

    host: str = ""  # empty: there is none
    port: Port = 104
    called: AeTitle = "ANY-SCP"  # its AE title
    calling: str = ""  # ours; empty: the station's
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    tls: Tls | None = None


class Worklist(Peer, frozen=True, forbid_unknown_fields=True):
    """[worklist]: where the patients and orders of the day are asked for."""

    modality: str = ""  # only steps of this modality
    station: str = ""  # only steps scheduled for this AE title
    days_back: Count = 1
    days_ahead: Count = 1
    most: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200
    keep_hours: Annotated[float, msgspec.Meta(ge=0, le=72)] = 12.0  # the last answer, for a bad day; 0: not kept


class Mpps(Peer, frozen=True, forbid_unknown_fields=True):
    """[mpps]: whom to tell that an exam is in progress, completed or discontinued."""

    modality: Annotated[str, msgspec.Meta(pattern="^(US|RF|XA)$")] = "US"


class AuditTrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[audit]: who signs the local logs, and the audit repository that is told (DICOM PS3.15 A.5, over syslog)."""

    folder: str = ""  # of the appliance's own log, and how far the repository was told; empty: beside the outbox
    key_file: str = ""  # a private key (`limpid audit key FILE`): the forward process seals the logs with it
    key_credential: str = ""  # the same, as a credential that systemd hands over
    public_key: str = ""  # what `limpid audit verify` checks seals by; empty: key_file's own, where it can be read
    seal_minutes: Positive = 15.0
    host: str = ""  # of the repository; empty: nobody is told
    port: Port = 6514
    protocol: Literal["tls", "udp"] = "tls"
    tls: Tls | None = None
    site: LongText = ""  # AuditEnterpriseSiteID
    patients: Literal["required", "none"] = "required"  # patient IDs, where the standard makes them mandatory
    alarm_hours: Positive = 4.0  # a line that waits longer is told of
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    first_retry_s: Positive = 2.0
    longest_retry_s: Positive = 300.0
    settle_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0  # taken, and the line still open after this: delivered


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[console]: the web page and its API. On another address than this host's own it needs a certificate and users."""

    enabled: bool = False  # whether `limpid run` starts it
    host: str = "127.0.0.1"
    port: Port = 5580
    hosts: tuple[str, ...] = ()  # names by which it may be addressed; empty: any, and on loopback only this host's
    certificate: str = ""  # PEM files
    key: str = ""
    folder: str = ""  # users and the audit log; empty: "console" beside the outbox
    idle_minutes: Annotated[float, msgspec.Meta(ge=1, le=1440)] = 30.0  # a session without a call ends
    session_hours: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0  # and any session after this
    most_watching: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16  # live pictures at once
    live_fps: Annotated[float, msgspec.Meta(ge=1, le=120)] = 30.0  # of each of them at most
    open_metrics: bool = False  # /metrics for everybody, not only for this host
    export_folders: tuple[str, ...] = ("/media", "/run/media")  # a medium mounted here may be exported to


class Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[panel]: the device display, `limpid display`."""

    enabled: bool = False  # `limpid run` keeps it running
    stream: str = ""  # empty: the first that is heard
    fullscreen: bool = True
    screen: Count = 0  # which one, where there are several
    width: Count = 0  # of the window or the screen's mode, in pixels; zeros: the screen's own, 800 x 480 in a window
    height: Count = 0
    vsync: bool = True
    driver: str = ""  # SDL's video driver, as kmsdrm, wayland, x11; empty: the first that works
    buttons: bool = True  # to touch; without them there are keys
    cine_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0  # how far one can scroll back while frozen
    cine_megabytes: Annotated[int, msgspec.Meta(ge=16, le=4096)] = 256
    back_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0  # what the button "last seconds" stores
    watchdog_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 5.0  # a panel that hangs this long ends itself
    gsdf_luminance: tuple[float, ...] = ()  # of this screen as measured, black to white, cd/m2; empty: no GSDF


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[[preset]]: a rule. All of its conditions must hold; intervals are from, up to but not including."""

    name: LongText
    body_part: tuple[str, ...] = ()
    procedure: tuple[str, ...] = ()  # code values
    age_years: Interval | None = None
    weight_kg: Interval | None = None
    size_m: Interval | None = None
    implant: bool | None = None
    engine: str = ""  # a family; empty: the configuration's own choice
    strength_percent: Percent | None = None


Degrees = Annotated[float, msgspec.Meta(ge=0, le=60)]


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[health]: how often the machine's sensors are read, and when they count as lost."""

    every_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0
    lost_after_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 15.0


class Heat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[heat]: how far from throttling the enhancement is held back. Degrees Celsius below where the chip throttles."""

    enabled: bool = True
    zones: tuple[str, ...] = ()  # which temperatures count, * for any letters; empty: the processors'
    throttles_at: Annotated[float, msgspec.Meta(ge=0, le=130)] = 0.0  # 0: as each zone says, 95 where it says nothing
    warm_below: Degrees = 12.0  # one rung lower
    hot_below: Degrees = 6.0  # classical
    critical_below: Degrees = 1.0  # the original
    recover: Annotated[float, msgspec.Meta(ge=1, le=30)] = 4.0  # so much cooler than a limit before it is left
    hold_s: Annotated[float, msgspec.Meta(ge=60, le=960)] = 60.0  # cool for so long before a step up


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    live: Live = Live()
    engines: Engines = Engines()
    sockets: Sockets = Sockets()
    keys: Keys = Keys()
    station: Station = Station()
    capture: Capture = Capture()
    worklist: Worklist = Worklist()
    mpps: Mpps = Mpps()
    audit: AuditTrail = AuditTrail()
    console: Console = Console()
    panel: Panel = Panel()
    health: Health = Health()
    heat: Heat = Heat()
    sensors: dict[str, dict[str, Any]] = {}  # at most one kind; empty: what fits this machine
    preset: tuple[Preset, ...] = ()  # in order; the first that fits is taken
    outbox: dict[str, Any] = {}  # the outbox's own settings
    destination: dict[str, dict[str, Any]] = {}  # name -> rules and one kind's options
    source: dict[str, dict[str, Any]] = msgspec.field(default_factory=lambda: {"zeromq": {}})
    display: dict[str, dict[str, Any]] = {}  # displays beside the publisher


def load(path: Path | None) -> Config:
    """The configuration in a file, or the defaults where there is none."""
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(text: str) -> Config:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    config = parse_section(tree, Config, "")
    _check_together(config)
    return config


def parse_section(tree: Mapping[str, object], kind: type[T], where: str) -> T:
    """One table into its struct; the message names the key, and the nearest known one."""
    _refuse_strangers(tree, kind, where)
    try:
        return msgspec.convert(dict(tree), kind)
    except msgspec.ValidationError as error:
        key, _, path = str(error).partition(" - at `$")
        place = f"{where}{path.rstrip('`')}".lstrip(".")
        raise ConfigError(f"[{place}] {key[0].lower()}{key[1:]}" if place else key) from error


def _refuse_strangers(tree: Mapping[str, object], kind: type[msgspec.Struct], where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(_stranger(key, list(fields), where))
        inner = fields[key]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, Mapping):
            _refuse_strangers(value, inner, f"{where}.{key}".lstrip("."))


def _stranger(key: str, known: list[str], where: str) -> str:
    place = f" in [{where}]" if where else ""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if close:
        return f'unknown key "{key}"{place}; did you mean "{close[0]}"?'
    return f'unknown key "{key}"{place}; known: {", ".join(known) or "none"}'


def _check_together(config: Config) -> None:
    if config.live.max_age_ms < config.live.deadline_ms:
        raise ConfigError("[live] max_age_ms is shorter than deadline_ms: every late frame would be dropped")
    if len(config.source) != 1:
        raise ConfigError(f"[source] needs exactly one kind, has {len(config.source)}")
    if len(config.sensors) > 1:
        raise ConfigError(f"[sensors] takes one kind, has {len(config.sensors)}")
    if not config.heat.warm_below > config.heat.hot_below > config.heat.critical_below:
        raise ConfigError("[heat] warm_below must be more than hot_below, and that more than critical_below")
    _check_presets(config.preset)
    _check_audit(config.audit)
    _check_barcode(config.capture.barcode)
    addresses = [config.sockets.pictures, config.sockets.control, config.sockets.events]
    if len(set(addresses)) != len(addresses):
        raise ConfigError("[sockets] two sockets share one address")
    for address in addresses:
        if not address.startswith(("tcp://", "ipc://", "inproc://")):
            raise ConfigError(f'[sockets] "{address}" is not a tcp:// or ipc:// address')
        if address.startswith("tcp://") and not TCP.fullmatch(address):
            raise ConfigError(f'[sockets] "{address}" names no port: tcp://127.0.0.1:5571, for example')


def _check_audit(audit: AuditTrail) -> None:
    if audit.key_file and audit.key_credential:
        raise ConfigError("[audit] has both key_file and key_credential: one of them, please")
    if audit.host and audit.protocol == "udp" and audit.patients != "none":
        raise ConfigError('[audit] protocol = "udp" is open to be read: it needs patients = "none", or use "tls"')


def _check_presets(presets: tuple[Preset, ...]) -> None:
    names = [preset.name for preset in presets]
    for preset in presets:
        if not preset.name or names.count(preset.name) > 1:
            raise ConfigError(f'[[preset]] "{preset.name}": every rule needs a name of its own')
        for key in ("age_years", "weight_kg", "size_m"):
            interval: Interval | None = getattr(preset, key)
            if interval is not None and not interval[0] < interval[1]:
                raise ConfigError(f'[[preset]] "{preset.name}": {key} goes from {interval[0]:g} up to {interval[1]:g}')


def _check_barcode(pattern: str) -> None:
    known = {*Patient.__struct_fields__, *Order.__struct_fields__} - {"size_m", "weight_kg", "procedure_code"}
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ConfigError(f"[capture] barcode is no regular expression: {error}") from error
    if not groups or groups - known:
        raise ConfigError(f"[capture] barcode needs named groups, of: {', '.join(sorted(known))}")

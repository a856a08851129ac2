"""A line of the audit log as a DICOM audit message (PS3.15, annex A.5). Pure: the same line gives the same bytes.

Which events become which message stands in `EVENTS`; all others stay in the local log. A patient's ID is put in where
the standard makes it mandatory and `About` knows it; the name never.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from edge.audit.chain import Entry

Action = Literal["C", "R", "U", "D", "E"]
Outcome = Literal["0", "4", "8"]  # success, minor failure, serious failure
Code = tuple[str, str]  # of DCM, and its meaning
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# PS3.16, CID 400 and 401
ACTIVITY: Code = ("110100", "Application Activity")
LOG_USED: Code = ("110101", "Audit Log Used")
ACCESSED: Code = ("110103", "DICOM Instances Accessed")
TRANSFERRED: Code = ("110104", "DICOM Instances Transferred")
EXPORT: Code = ("110106", "Export")
PATIENT: Code = ("110110", "Patient Record")
PROCEDURE: Code = ("110111", "Procedure Record")
ALERT: Code = ("110113", "Security Alert")
AUTHENTICATION: Code = ("110114", "User Authentication")
START: Code = ("110120", "Application Start")
STOP: Code = ("110121", "Application Stop")
LOGIN: Code = ("110122", "Login")
LOGOUT: Code = ("110123", "Logout")
NODE: Code = ("110126", "Node Authentication")
SECURITY_CONFIGURATION: Code = ("110129", "Security Configuration")
SOFTWARE: Code = ("110131", "Software Configuration")
ATTRIBUTES: Code = ("110135", "Object Security Attributes Changed")
USERS: Code = ("110137", "User Security Attributes Changed")
# CID 402
APPLICATION: Code = ("110150", "Application")
DESTINATION_MEDIA: Code = ("110154", "Destination Media")
SOURCE: Code = ("110153", "Source Role ID")
DESTINATION: Code = ("110152", "Destination Role ID")
USB: Code = ("110030", "USB Disk Emulation")  # CID 405
STUDY: Code = ("110180", "Study Instance UID")  # CID 404
NODE_ID: Code = ("110182", "Node ID")
# Identifiers that the audit schema took over from RFC 3881
PATIENT_NUMBER, URI = ("2", "Patient Number"), ("12", "URI")


@dataclass(frozen=True, slots=True)
class Study:
    """What is known of what a line is about."""

    uid: str = ""
    classes: Mapping[str, int] = field(default_factory=dict[str, int])  # SOP class -> how many instances
    patient: str = ""  # the patient's ID


@dataclass(frozen=True, slots=True)
class About:
    """The appliance, as its messages name it, and how to find what a line is about."""

    source: str  # AuditSourceID: the station's AE title
    host: str
    site: str = ""
    patients: bool = True  # IDs where the standard wants them
    peers: Mapping[str, str] = field(default_factory=dict[str, str])  # destination -> host
    study_of: Callable[[Entry], Study] = lambda _entry: Study()


@dataclass(frozen=True, slots=True)
class Event:
    """How one kind of line is told."""

    id: Code
    action: Action
    type: Code | None = None
    outcome: Outcome = "0"
    life: str = ""  # ParticipantObjectDataLifeCycle


EVENTS: Mapping[tuple[str, str], Event] = {  # (log, did); "" is any log
    ("outbox", "stored"): Event(ACCESSED, "C", life="1"),
    ("outbox", "replaced"): Event(ACCESSED, "U", life="3"),
    ("outbox", "discarded"): Event(ACCESSED, "D", life="14"),
    ("outbox", "removed"): Event(ACCESSED, "D", life="15"),
    ("outbox", "sent"): Event(TRANSFERRED, "C"),
    ("outbox", "parked"): Event(TRANSFERRED, "C", outcome="8"),
    ("outbox", "exported"): Event(EXPORT, "R", life="10"),
    ("outbox", "damaged"): Event(ALERT, "E", ATTRIBUTES, "8"),
    ("console", "log-in"): Event(AUTHENTICATION, "E", LOGIN),
    ("console", "log-in-refused"): Event(AUTHENTICATION, "E", LOGIN, "4"),
    ("console", "log-out"): Event(AUTHENTICATION, "E", LOGOUT),
    ("console", "user-added"): Event(ALERT, "E", USERS),
    ("console", "user-removed"): Event(ALERT, "E", USERS),
    ("console", "password-changed"): Event(ALERT, "E", USERS),
    ("console", "identity-shown"): Event(PATIENT, "R"),
    ("console", "exam-correct"): Event(PATIENT, "U"),
    ("console", "exam-open"): Event(PROCEDURE, "C"),
    ("console", "exam-close"): Event(PROCEDURE, "U"),
    ("console", "exam-discard"): Event(PROCEDURE, "D"),
    ("console", "discard"): Event(ACCESSED, "D", life="14"),
    ("console", "settings"): Event(ALERT, "E", SOFTWARE),
    ("console", "engine-activate"): Event(ALERT, "E", SOFTWARE),
    ("console", "engine-rollback"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-installed"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-activating"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-activated"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-rolling-back"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-rolled-back"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-removed"): Event(ALERT, "E", SOFTWARE),
    ("engines", "engine-refused"): Event(ALERT, "E", SOFTWARE, "4"),
    ("engines", "engine-key-trusted"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("engines", "engine-key-revoked"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("updates", "update-staged"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-switching"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-switched"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-on-trial"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-held"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-rolling-back"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-rolled-back"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-removed"): Event(ALERT, "E", SOFTWARE),
    ("updates", "update-refused"): Event(ALERT, "E", SOFTWARE, "4"),
    ("updates", "update-key-trusted"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("updates", "update-key-revoked"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "keys-made"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "client-enrolled"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "client-revoked"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "key-change-begun"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "key-changed"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("keys", "key-change-cancelled"): Event(ALERT, "E", SECURITY_CONFIGURATION),
    ("system", "started"): Event(ACTIVITY, "E", START),
    ("system", "stopped"): Event(ACTIVITY, "E", STOP),
    ("system", "audit-exported"): Event(LOG_USED, "R"),
    ("system", "audit-altered"): Event(ALERT, "E", ATTRIBUTES, "8"),
    ("system", "repository-untrusted"): Event(ALERT, "E", NODE, "8"),
}


def message(log: str, entry: Entry, about: About) -> bytes | None:
    """The XML, or None for a line that is told to nobody."""
    event = EVENTS.get((log, entry.did))
    if event is None:
        return None
    root = Element("AuditMessage")
    _identify(root, event, entry)
    for participant in _participants(event, entry, about):
        root.append(participant)
    source = SubElement(root, "AuditSourceIdentification", _given(AuditEnterpriseSiteID=_clean(about.site)))
    source.set("AuditSourceID", _clean(about.source))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "2"})  # a data acquisition device
    for thing in _objects(event, log, entry, about):
        root.append(thing)
    return tostring(root, encoding="utf-8", xml_declaration=True)


def _identify(root: Element, event: Event, entry: Entry) -> None:
    identification = SubElement(
        root, "EventIdentification",
        {"EventActionCode": event.action, "EventDateTime": entry.when, "EventOutcomeIndicator": event.outcome},
    )  # fmt: skip
    _code(identification, "EventID", event.id)
    if event.type is not None:
        _code(identification, "EventTypeCode", event.type)
    if event.outcome != "0" and (reason := entry.facts.get("reason") or entry.facts.get("why")):
        SubElement(identification, "EventOutcomeDescription").text = _clean(str(reason)[:500])


# ------------------------------------------------ who


def _participants(event: Event, entry: Entry, about: About) -> list[Element]:
    here = _clean(about.host)
    if event.id == TRANSFERRED:
        name = str(entry.facts.get("destination", ""))
        return [
            _participant(about.source, here, SOURCE, asks=True, other=entry.who),
            _participant(name, about.peers.get(name, ""), DESTINATION),
        ]
    if event.id == EXPORT:
        media = _participant("medium", "", DESTINATION_MEDIA)
        _code(SubElement(media, "MediaIdentifier"), "MediaType", USB)
        return [_participant(entry.who, here, SOURCE, asks=True), media]
    if event.id == ACTIVITY:
        return [_participant(f"limpid {entry.to}", here, APPLICATION, other=about.source)]
    if event.id == AUTHENTICATION:
        origin = str(entry.facts.get("from", ""))
        return [_participant(entry.who, origin or here, asks=True), _participant(about.source, here, APPLICATION)]
    return [_participant(entry.who, here, asks=True)]


def _participant(user: str, host: str, role: Code | None = None, *, asks: bool = False, other: str = "") -> Element:
    found = Element("ActiveParticipant", {"UserID": _clean(user), "UserIsRequestor": str(asks).lower()})
    found.attrib.update(_given(AlternativeUserID=_clean(other), NetworkAccessPointID=_clean(host)))
    if host:
        found.set("NetworkAccessPointTypeCode", "2" if _is_address(host) else "1")
    if role is not None:
        _code(found, "RoleIDCode", role)
    return found


def _is_address(host: str) -> bool:
    return ":" in host or bool(re.fullmatch(r"\d+(\.\d+){3}", host))


# ------------------------------------------------ what


def _objects(event: Event, log: str, entry: Entry, about: About) -> list[Element]:
    if event.id in (ACTIVITY, AUTHENTICATION):
        return []
    if event.id == LOG_USED:
        name = f"limpid audit log {entry.to}".rstrip()
        return [_object(f"limpid:audit:{entry.to}", URI, "2", "13", "Security Audit Log", {"log": name})]
    if event.id == ALERT:
        told = {"Alert Description": f"{log} {entry.did} {entry.to}", **_texts(entry.facts)}
        return [_object(entry.to or log, NODE_ID, "2", "13", entry.did, told)]
    study = about.study_of(entry)
    found = list[Element]()
    if event.id != PATIENT:
        found.append(_study(study, event, entry))
    if about.patients:
        # The schema wants a name or a query; no standard table makes the name itself mandatory.
        found.append(_object(study.patient or "unknown", PATIENT_NUMBER, "1", "1", ""))
    return found or [_object(entry.to, NODE_ID, "2", "3", entry.did)]


def _study(study: Study, event: Event, entry: Entry) -> Element:
    told = {"capture" if event.id != PROCEDURE else "exam": entry.to, **_texts(entry.facts, ("object", "warning"))}
    found = _object(study.uid or "unknown", STUDY, "2", "3", "", told)
    if event.life:
        found.set("ParticipantObjectDataLifeCycle", event.life)
    if study.classes:
        description = SubElement(found, "ParticipantObjectDescription")
        for uid, count in sorted(study.classes.items()):
            SubElement(description, "SOPClass", {"UID": uid, "NumberOfInstances": str(count)})
    return found


def _texts(facts: Mapping[str, object], only: tuple[str, ...] = ()) -> dict[str, str]:
    wanted = {key: value for key, value in facts.items() if not only or key in only}
    return {key: str(value)[:500] for key, value in wanted.items() if isinstance(value, (str, int, float))}


def _object(of: str, kind: Code, type_: str, role: str, name: str, details: Mapping[str, str] | None = None) -> Element:
    found = Element(
        "ParticipantObjectIdentification",
        {"ParticipantObjectID": _clean(of), "ParticipantObjectTypeCode": type_, "ParticipantObjectTypeCodeRole": role},
    )
    _code(found, "ParticipantObjectIDTypeCode", kind, "RFC-3881" if kind in (PATIENT_NUMBER, URI) else "DCM")
    SubElement(found, "ParticipantObjectName").text = _clean(name)
    for key, value in (details or {}).items():
        encoded = base64.b64encode(value.encode("utf-8", "replace")).decode()
        SubElement(found, "ParticipantObjectDetail", {"type": _clean(key), "value": encoded})
    return found


def _code(parent: Element, name: str, code: Code, system: str = "DCM") -> None:
    SubElement(parent, name, {"csd-code": code[0], "codeSystemName": system, "originalText": code[1]})


def _given(**attributes: str) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}


def _clean(text: str) -> str:
    """Without what XML cannot hold."""
    return NOT_XML.sub("?", text)

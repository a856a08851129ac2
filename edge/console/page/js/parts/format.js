// Figures, times and names as people read them. Pure.
import { LANGUAGE, say } from "./say.js";

export function milliseconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value >= 10000) return `${Math.round(value / 1000)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** How long ago, as coarse as it is long. */
export function span(minutes) {
  if (minutes < 90) return say("span.minutes", { n: Math.round(minutes) });
  return minutes < 48 * 60 ? say("span.hours", { n: Math.round(minutes / 60) }) : say("span.days", { n: Math.round(minutes / 1440) });
}

export function megabytes(bytes) {
  if (!Number.isFinite(bytes)) return "–";
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export function number(value, digits = 1) {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(digits);
}

export function clockTime(iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? String(iso ?? "") : moment.toLocaleTimeString(LANGUAGE, { hour12: false });
}

export function dayAndTime(iso) {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return String(iso ?? "");
  const day = moment.toLocaleDateString(LANGUAGE, { year: "numeric", month: "short", day: "numeric" });
  return `${day}, ${moment.toLocaleTimeString(LANGUAGE, { hour12: false })}`;
}

/** DICOM's "FAMILY^GIVEN^MIDDLE^PREFIX^SUFFIX=ideographic=phonetic", as a person writes it. */
export function personName(name) {
  const groups = String(name ?? "").split("=").map(oneName).filter(Boolean);
  if (!groups.length) return "";
  return groups.length > 1 ? `${groups[0]} (${groups.slice(1).join(", ")})` : groups[0];
}

function oneName(group) {
  const [family = "", given = "", middle = "", prefix = "", suffix = ""] = group.split("^").map((part) => part.trim());
  const first = [prefix, given, middle].filter(Boolean).join(" ");
  return [family, first, suffix].filter(Boolean).join(", ");
}

/** DICOM's YYYYMMDD as YYYY-MM-DD, which nobody can mistake. */
export function dicomDate(text) {
  const found = /^(\d{4})(\d{2})(\d{2})/.exec(text ?? "");
  return found ? `${found[1]}-${found[2]}-${found[3]}` : String(text ?? "");
}

export function dicomDayTime(text) {
  const found = /^(\d{8})(\d{2})(\d{2})/.exec(text ?? "");
  return found ? `${dicomDate(found[1])} ${found[2]}:${found[3]}` : dicomDate(text);
}

export function toDicomDate(iso) {
  return String(iso ?? "").replaceAll("-", "");
}

export function sex(code) {
  return code ? say(`sex.${code}`) : "";
}

/** One line that tells a patient from another. */
export function patientLine(patient) {
  const parts = [patient.id, dicomDate(patient.birth_date), sex(patient.sex)].filter(Boolean);
  return parts.join(" · ");
}

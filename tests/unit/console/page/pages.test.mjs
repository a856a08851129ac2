import assert from "node:assert/strict";
import { test } from "node:test";
import { canRetry, summary, way, wordsFor } from "../../../../edge/console/page/js/captures/states.js";
import { frameDurations } from "../../../../edge/console/page/js/captures/timing.js";
import { figuresOf } from "../../../../edge/console/page/js/engines/figures.js";
import { patientOf } from "../../../../edge/console/page/js/exam/typed.js";
import { shares } from "../../../../edge/console/page/js/health/shares.js";
import { dicomDate, dicomDayTime, milliseconds, patientLine, personName } from "../../../../edge/console/page/js/parts/format.js";
import { say } from "../../../../edge/console/page/js/parts/say.js";
import { keyIn, lineIn, lineOf } from "../../../../edge/console/page/js/settings/keys.js";

const object = (role, states, damaged = false) => ({ name: `1-${role}.dcm`, role, states, damaged, frames: 1 });

// ------------------------------------------------ captures

test("every state says in words what is so and who must act", () => {
  for (const state of ["waiting", "held", "sent", "asked", "confirmed", "parked", "damaged"]) {
    const told = wordsFor(state);
    assert.doesNotMatch(told.what + told.who, /state\./);
  }
});

test("what the archive said is passed on", () => {
  assert.match(wordsFor("parked", { reason: "SOP class not supported (0x0122)" }).what, /SOP class not supported/);
});

test("a capture is summed up by the object that needs somebody first", () => {
  const capture = { held: false, objects: [object("original", { pacs: "confirmed", usb: "parked" }), object("enhanced", { pacs: "sent" })] };
  assert.equal(summary(capture).worst, "parked");
  assert.equal(summary(capture).tone, "bad");
  assert.ok(canRetry(capture));
});

test("it is in the archive only when every object is, everywhere", () => {
  const all = { held: false, objects: [object("original", { pacs: "confirmed" }), object("enhanced", { pacs: "confirmed" })] };
  assert.equal(summary(all).worst, "confirmed");
  all.objects[1].states.pacs = "asked";
  assert.notEqual(summary(all).worst, "confirmed");
  assert.ok(!canRetry(all));
});

test("a damaged object is told as damaged whatever the archive said of it before", () => {
  const capture = { held: false, objects: [object("original", { pacs: "sent" }, true)] };
  assert.equal(summary(capture).worst, "damaged");
  assert.equal(way(capture)[0].state, "damaged");
});

test("frames stand as long as they did when they were taken", () => {
  assert.deepEqual(frameDurations([10, 20, 30], 3), [10, 20, 30]);
  assert.deepEqual(frameDurations(40, 2), [40, 40]);
  assert.equal(frameDurations(undefined, 2).length, 2);
  assert.deepEqual(frameDurations([1e9, -3, NaN], 3).map(Math.round), [5000, 33, 33]);
});

// ------------------------------------------------ patients

test("names are told as people write them, and never as markup", () => {
  assert.equal(personName("PHANTOM^ONE^^DR"), "PHANTOM, DR ONE");
  assert.equal(personName("Yamada^Tarou=山田^太郎=やまだ^たろう"), "Yamada, Tarou (山田, 太郎, やまだ, たろう)");
  assert.equal(personName("<script>alert(1)</script>"), "<script>alert(1)</script>");
  assert.equal(personName(""), "");
});

test("dates cannot be mistaken", () => {
  assert.equal(dicomDate("19700203"), "1970-02-03");
  assert.equal(dicomDayTime("20261120101500"), "2026-11-20 10:15");
  assert.equal(patientLine({ id: "PH-1", birth_date: "19700203", sex: "F" }), "PH-1 · 1970-02-03 · female");
});

test("what divides DICOM's names does not come in by typing", () => {
  const told = patientOf({ barcode: "", family: "A^B=C\\D", given: "", id: "7", birth: "", sex: "", accession: "", procedure: "" });
  assert.equal(told.patient.name, "A B C D");
});

test("a barcode goes as it is, and nothing typed is nobody", () => {
  assert.deepEqual(patientOf({ barcode: "X1", family: "", given: "", id: "" }), { barcode: "X1" });
  assert.equal(patientOf({ barcode: "", family: "", given: "", id: "" }), null);
});

// ------------------------------------------------ figures

test("ages are told by their size", () => {
  assert.deepEqual([3.14159, 24.4, 1500, 61000, null].map(milliseconds), ["3.1 ms", "24 ms", "1.5 s", "61 s", "–"]);
});

test("judged figures stand beside the unprocessed picture's", () => {
  const told = figuresOf({ psnr_db: 22.6804, psnr_db_input: 21.7041, recovery_min: 0.7142 });
  assert.deepEqual(told.map(({ value }) => value), ["21.7 → 22.7", "0.71"]);
});

test("every frame is accounted for by what became of it", () => {
  const rows = shares({ in: 100, enhanced: { clarity: 90 }, original: { "no region": 6 }, dropped: { "too-old": 4 }, lost_on_the_way: 1 });
  assert.deepEqual(rows.map(({ n }) => n), [90, 6, 4, 1]);
  assert.equal(rows[0].share, 0.9);
  assert.equal(rows[1].label, "original, no image area found yet");
});

// ------------------------------------------------ settings

test("a message of the configuration names its key", () => {
  assert.equal(keyIn('unknown key "deadine_ms" in [live]; did you mean "deadline_ms"?'), "live.deadine_ms");
  assert.equal(keyIn('unknown key "lve"; did you mean "live"?'), "lve");
  assert.equal(keyIn("[live.deadline_ms] expected `float` >= 2.0"), "live.deadline_ms");
  assert.equal(keyIn("[live] max_age_ms is shorter than deadline_ms: every late frame would be dropped"), "live.max_age_ms");
  assert.equal(keyIn("not TOML: Expected '=' after a key"), "");
});

test("a key is found in the text by its table", () => {
  const text = 'a = 1\n[live]\n# deadline_ms = 5\ndeadline_ms = 20\n[sockets]\ncontrol = "x"\n[destination.pacs.dimse]\nport = 1\n';
  assert.equal(lineOf(text, "live.deadline_ms"), 4);
  assert.equal(lineOf(text, "sockets.control"), 6);
  assert.equal(lineOf(text, "destination.pacs.dimse.port"), 8);
  assert.equal(lineOf(text, "live.gone"), 2);
  assert.equal(lineOf(text, "nowhere.at"), 0);
});

test("a message that names a line itself is believed", () => {
  assert.equal(lineIn("not TOML: Cannot declare ('live',) twice (at line 31, column 6)"), 31);
  assert.equal(lineIn("[sockets] two sockets share one address"), 0);
});

// ------------------------------------------------ words

test("counts are told in the forms of the language", () => {
  assert.equal(say("exam.captures", { n: 1 }), "One capture.");
  assert.equal(say("exam.captures", { n: 3 }), "3 captures.");
});

test("a value is put in as it is, whatever it looks like", () => {
  assert.equal(say("capture.refused", { reason: "$& {n} <b>" }), "Not captured: $& {n} <b>");
});

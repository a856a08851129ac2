import assert from "node:assert/strict";
import { test } from "node:test";
import { answer } from "../../../../edge/console/page/js/live/answer.js";
import { badge } from "../../../../edge/console/page/js/live/badge.js";
import { Freezing } from "../../../../edge/console/page/js/live/freezing.js";
import { History } from "../../../../edge/console/page/js/live/history.js";
import { Liveness, mayStand, SILENT_AFTER_MS, stateOf } from "../../../../edge/console/page/js/live/liveness.js";
import { tint } from "../../../../edge/console/page/js/live/tint.js";
import { transfer } from "../../../../edge/console/page/js/live/tone.js";

const picture = (seq, takenMs = seq * 33, bytes = 100) => ({ header: { seq, session: "1" }, takenMs, bytes });
const seqs = (held) => held.pictures.map(({ header }) => header.seq);

// ------------------------------------------------ history

test("the history keeps the last seconds only", () => {
  const history = new History(1000, 1e9);
  for (let seq = 0; seq < 100; seq += 1) history.add(picture(seq, seq * 100));
  assert.equal(history.pictures[0].header.seq, 89);
  assert.equal(history.length, 11);
});

test("the history keeps no more bytes than it may, and counts them right", () => {
  const history = new History(1e9, 1000);
  for (let seq = 0; seq < 50; seq += 1) history.add(picture(seq, seq, 300));
  assert.equal(history.length, 3);
  assert.equal(history.bytes, 900);
});

test("one picture that is larger than all the room is kept: it is what is shown", () => {
  const history = new History(1000, 10);
  history.add(picture(1, 0, 500));
  assert.equal(history.length, 1);
});

// ------------------------------------------------ freezing

test("scrolling goes back and on, and never beyond either end", () => {
  const history = new History();
  for (let seq = 1; seq <= 5; seq += 1) history.add(picture(seq));
  const held = history.held();
  assert.equal(held.picture.header.seq, 5);
  assert.ok(held.isLast);
  assert.equal(held.step(-2).header.seq, 3);
  assert.ok(Math.abs(held.seconds + 0.066) < 1e-9);
  assert.equal(held.go(-9).header.seq, 1);
  assert.equal(held.go(99).header.seq, 5);
});

test("what is held stands still; what comes until the device is frozen belongs to it once the device says so", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0);
  assert.equal(freezing.device(false, 10), false);
  assert.equal(freezing.picture(picture(2)), false);
  assert.deepEqual(seqs(freezing.held), [1]);
  assert.ok(freezing.isPending);
  assert.ok(!freezing.isTheDevices, "a still would be another picture");
  assert.equal(freezing.device(true, 30), true);
  assert.deepEqual(seqs(freezing.held), [1, 2]);
  assert.ok(freezing.held.isLast);
  assert.ok(freezing.isTheDevices);
});

test("a device that does not say that it is frozen leaves the page standing alone, and nothing is kept of what moves on", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0);
  for (let seq = 2; seq < 30; seq += 1) assert.equal(freezing.picture(picture(seq)), false);
  assert.equal(freezing.late(900), false);
  assert.equal(freezing.late(1001), true);
  assert.equal(freezing.late(1002), false, "told once");
  assert.ok(freezing.localOnly);
  assert.ok(!freezing.isTheDevices);
  assert.equal(freezing.picture(picture(30)), false);
  assert.equal(freezing.device(true, 2000), false, "its late word does not move what is looked at");
  assert.deepEqual(seqs(freezing.held), [1]);
  assert.equal(freezing.waiting.length, 0);
});

test("the last picture before the device froze may come after its word", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.device(true, 0);
  const last = picture(2);
  last.header.frozen = true;
  assert.equal(freezing.picture(last), true);
  assert.deepEqual(seqs(freezing.held), [1, 2]);
});

test("a refusal that comes late holds nothing that was let go meanwhile", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0);
  freezing.release(50, { asked: true });
  assert.equal(freezing.notConfirmed(), false);
  assert.ok(!freezing.isFrozen);
});

test("somebody who has scrolled back already stays there", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.picture(picture(2));
  freezing.press(0);
  freezing.held.step(-1);
  freezing.picture(picture(3));
  freezing.device(true, 10);
  assert.equal(freezing.held.picture.header.seq, 1);
  assert.deepEqual(seqs(freezing.held), [1, 2, 3]);
});

test("the frozen picture once more, with its change map, takes the place of itself", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.device(true);
  const again = picture(1);
  assert.equal(freezing.picture(again), true);
  assert.equal(freezing.held.length, 1);
  assert.equal(freezing.held.picture, again);
});

test("the device may be frozen and let go by others", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  assert.equal(freezing.device(true), true);
  assert.ok(freezing.isFrozen);
  assert.equal(freezing.device(true), false);
  assert.equal(freezing.device(false), true);
  assert.ok(!freezing.isFrozen);
});

test("let go here, a late word that it is frozen does not freeze it again", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0);
  freezing.device(true, 10);
  freezing.release(20, { asked: true });
  assert.equal(freezing.device(true, 30), false);
  assert.ok(!freezing.isFrozen);
  freezing.device(false, 40);
  assert.equal(freezing.device(true, 50), true);
});

test("a device that would not be let go, or does not answer, is shown as frozen again with what was held", () => {
  for (const tell of [(freezing) => freezing.notReleased(), () => {}]) {
    const freezing = new Freezing(new History());
    freezing.picture(picture(1));
    freezing.picture(picture(2));
    freezing.device(true, 0);
    freezing.held.step(-1);
    freezing.release(10, { asked: true });
    tell(freezing);
    assert.equal(freezing.device(true, 2000), true);
    assert.equal(freezing.held.picture.header.seq, 1, "what stands on the screen is what is told");
    assert.ok(!freezing.isTheDevices);
  }
});

test("let go on this page alone, a device that is frozen is shown as frozen at once", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0, { localOnly: true });
  freezing.device(true, 10);
  freezing.release(20);
  assert.equal(freezing.device(true, 30), true);
  assert.ok(freezing.isFrozen);
  assert.ok(!freezing.localOnly);
});

test("held on this page alone, the device's pictures change nothing", () => {
  const freezing = new Freezing(new History());
  freezing.picture(picture(1));
  freezing.press(0, { localOnly: true });
  assert.equal(freezing.picture(picture(2)), false);
  freezing.device(false);
  assert.deepEqual(seqs(freezing.held), [1]);
});

// ------------------------------------------------ liveness

test("a picture is live only as long as something says so", () => {
  const liveness = new Liveness();
  assert.equal(liveness.state(0), "socket");
  liveness.opened();
  assert.equal(liveness.state(10), "connecting");
  liveness.heard(100, "live");
  assert.equal(liveness.state(100 + SILENT_AFTER_MS), "live");
  assert.equal(liveness.state(101 + SILENT_AFTER_MS), "silent");
  liveness.heard(5000, "stopped");
  assert.equal(liveness.state(5001), "stopped");
  liveness.closed();
  assert.equal(liveness.state(5002), "socket");
});

test("a frozen picture of a daemon that is gone, or of a scanner that fell silent, is told", () => {
  assert.equal(stateOf({ live: true, frozen: true, treatment: "enhanced" }), "frozen");
  assert.equal(stateOf({ live: false, frozen: true, treatment: "enhanced" }), "stopped");
  assert.equal(stateOf({ live: false, frozen: false, treatment: "none" }), "connecting");
  assert.equal(stateOf({ live: true, frozen: false, treatment: "original" }), "live");
});

test("a console that lets nobody in any more says so, until a picture comes", () => {
  const liveness = new Liveness();
  liveness.opened();
  liveness.closed(1013);
  assert.equal(liveness.state(0), "crowded");
  liveness.opened();
  assert.equal(liveness.state(10), "crowded");
  liveness.heard(20, "live");
  assert.equal(liveness.state(20), "live");
  liveness.closed(1006);
  assert.equal(liveness.state(30), "socket");
  liveness.closed(4404);
  assert.equal(liveness.state(40), "no-such");
});

test("only live and frozen pictures stand without a warning", () => {
  const states = ["connecting", "live", "frozen", "stopped", "silent", "socket", "crowded", "no-such"];
  assert.deepEqual(states.filter(mayStand), ["live", "frozen"]);
});

// ------------------------------------------------ words

const enhanced = { treatment: "enhanced", why: "", strength_percent: 80, engine: { name: "clarity" }, seq: 1 };

test("an enhanced picture is called so, with its engine and strength", () => {
  assert.deepEqual(badge(enhanced, "picture"), { kind: "enhanced", title: "ENHANCED", detail: "clarity · 80\u00a0%" });
});

test("the badge says which backend runs, and one it does not know by its name", () => {
  const on = (backend) => badge({ ...enhanced, engine: { name: "clarity", backend } }, "picture").detail;
  assert.equal(on("openvino_cpu"), "clarity · CPU · 80\u00a0%");
  assert.equal(on("classical"), "clarity · CPU · 80\u00a0%");
  assert.equal(on("tensorrt_int8"), "clarity · GPU · 80\u00a0%");
  assert.equal(on("npu"), "clarity · npu · 80\u00a0%");
});

test("heat that holds the enhancement back is said beside the engine", () => {
  assert.equal(badge({ ...enhanced, warm: true }, "picture").detail, "clarity · 80\u00a0% · device warm, enhancement held back");
});

test("the original of an enhanced frame is never called enhanced", () => {
  assert.equal(badge(enhanced, "original").title, "ORIGINAL");
});

test("an original in the place of an enhanced picture is called original in every way of looking, with its reason", () => {
  for (const looked of ["picture", "original", "split"]) {
    const told = badge({ treatment: "original", why: "no region", engine: null }, looked);
    assert.equal(told.kind, "original");
    assert.equal(told.detail, "no image area found yet");
  }
});

test("a reason that this page does not know is told as it came", () => {
  assert.equal(badge({ treatment: "original", why: "brand new" }, "picture").detail, "brand new");
});

test("before the first frame there is no picture", () => {
  assert.equal(badge({ treatment: "none", seq: 0 }, "picture").kind, "none");
  assert.equal(badge(null, "picture").kind, "none");
});

test("a capture with gaps says so and is not told as plain success", () => {
  const told = answer({ kind: "clip", frames: 298, seconds: 9.97, notices: ["2 frames are missing before frame 118"], held: false });
  assert.equal(told.tone, "warn");
  assert.match(told.text, /298 pictures, 10\.0 s.*2 frames are missing/);
});

test("a capture that opened an emergency says that the patient is missing", () => {
  const told = answer({ kind: "still", frames: 1, held: true, opened_exam: true, notices: [] });
  assert.match(told.text, /emergency exam was opened/);
  assert.equal(told.tone, "warn");
});

test("the change map is orange where brighter and blue where darker, as the panel's, and no change is nothing", () => {
  const pixels = tint(Uint8ClampedArray.from([128, 128, 128, 255, 158, 158, 158, 255, 98, 98, 98, 255, 129, 129, 129, 255]));
  const [still, brighter, darker, grain] = [0, 4, 8, 12].map((at) => [...pixels.slice(at, at + 4)]);
  assert.equal(still[3], 0);
  assert.equal(grain[3], 0);
  assert.equal(brighter[3], 180);
  assert.equal(darker[3], 180);
  assert.ok(brighter[0] > brighter[2] && darker[2] > darker[0]);
});

test("brightness and contrast are the panel's: the middle moves by half of the brightness, the contrast turns around it", () => {
  const level = (brightness, contrast, at) => {
    const { slope, intercept } = transfer(brightness, contrast);
    return slope * at + intercept;
  };
  assert.equal(level(0, 100, 0.3), 0.3);
  assert.equal(level(0, 200, 0.5), 0.5);
  assert.equal(level(0, 200, 0.75), 1);
  assert.ok(Math.abs(level(20, 100, 0.5) - 0.6) < 1e-9);
  assert.ok(Math.abs(level(20, 200, 0.4) - 0.5) < 1e-9);
});

test("an enhanced picture outside what its engine was judged on says so first, and stays enhanced", () => {
  const header = { treatment: "enhanced", engine: { name: "clarity" }, strength_percent: 80, outside: true };
  assert.deepEqual(badge(header, "picture"), { kind: "enhanced", title: "ENHANCED", detail: "outside what this engine was judged on · clarity · 80\u00a0%", caution: true });
  assert.equal(badge(header, "split").caution, true);
  assert.equal(badge(header, "original").caution, undefined);
  assert.equal(badge({ ...header, outside: false }, "picture").caution, undefined);
});

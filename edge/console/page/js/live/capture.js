// The capture buttons. The answer is told when the capture is durable, or at once why it is not.
import { post } from "../api.js";
import { button, el, fill, icon } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { alarm, notice } from "../parts/tell.js";
import { may } from "../session.js";
import { answer } from "./answer.js";

const BACK_SECONDS = 10;
const SLOW_MS = 6000; // as long as a notice stays

export class CaptureButtons {
  constructor(view) {
    this.view = view;
    this.waiting = new Set();
    this.recording = false;
    this.still = button(say("capture.still"), () => this.take("still"), { picture: "camera", kind: "capture", title: say("key.still") });
    this.clip = button(say("capture.clip"), () => this.takeClip(), { picture: "clip", kind: "capture", title: say("key.clip") });
    this.back = button(say("capture.back", { seconds: BACK_SECONDS }), () => this.take("back", { seconds: BACK_SECONDS }), { picture: "back", kind: "capture", title: say("key.back") });
    this.burst = button(say("capture.burst"), () => this.take("burst"), { picture: "burst", kind: "capture", title: say("key.burst") });
    this.node = el("div", { class: "captures", role: "group", "aria-label": say("capture.label") }, this.still, this.clip, this.back, this.burst);
  }

  /** What is not known now stays as it was told last. */
  status(stream) {
    if (stream && !this.waiting.has("clip/start") && !this.waiting.has("clip/stop")) this.setRecording(Boolean(stream.recording));
  }

  setRecording(recording) {
    if (recording === this.recording) return;
    this.recording = recording;
    this.clip.classList.toggle("recording", recording);
    fill(this.clip, [icon(recording ? "stop" : "clip"), el("span", {}, say(recording ? "capture.stop" : "capture.clip"))]);
    this.update();
  }

  update() {
    const can = may("operate") && Boolean(this.view.shown);
    for (const [what, node] of [["still", this.still], ["back", this.back], ["burst", this.burst]]) node.disabled = !can || this.waiting.has(what);
    this.clip.disabled = !can || this.waiting.has("clip/start") || this.waiting.has("clip/stop");
    const { freezing, isScrolledBack } = this.view;
    if (!freezing.isTheDevices) this.still.disabled = true; // it would store the device's picture, not the one that is seen
    this.burst.disabled ||= freezing.isFrozen;
    this.still.title = say(isScrolledBack ? "capture.not-scrolled" : freezing.isTheDevices ? "key.still" : "capture.not-alone");
  }

  async takeClip() {
    const starts = !this.recording;
    if (await this.take(starts ? "clip/start" : "clip/stop")) this.setRecording(starts);
  }

  async take(what, more = {}) {
    this.waiting.add(what);
    this.update();
    const slow = setInterval(() => notice(say("capture.slow"), "warn"), SLOW_MS);
    try {
      const told = await post(`capture/${what}`, { stream: this.view.stream, ...more });
      const { text, tone } = answer(told);
      notice(text, tone);
      return true;
    } catch (error) {
      if (error.status !== 401) alarm(say(wasRefused(error) ? "capture.refused" : "capture.not-confirmed", { reason: error.message }));
      return false;
    } finally {
      clearInterval(slow);
      this.waiting.delete(what);
      this.update();
    }
  }
}

/** Whoever answered nothing, or broke down over it, may have stored it all the same. */
function wasRefused({ status }) {
  return status > 0 && status < 500;
}

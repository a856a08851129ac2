// When the picture is held, by this page or by the device, and what is scrolled through meanwhile. Pure.

const TO_CONFIRM_MS = 1000; // the device answers in milliseconds, or not at all
const TO_LEAVE_MS = 1000;

/**
 * What is held stands still from the press on. The device freezes a moment later: the pictures that come until it says so
 * wait, and are added when it does, so that the last picture here is the one that the device holds, and that a still
 * stores. Where it does not say so in time, only this page stands still, and that is told.
 */
export class Freezing {
  constructor(history) {
    this.history = history;
    this.held = null;
    this.there = false; // the device says that it is frozen
    this.left = null; // what was held when it was asked to let go, and when, as long as it has not said that it runs
    this.localOnly = false; // only this page is held: without the right to operate the device, or without its word
    this.pressedMs = null; // when the device was asked to freeze, as long as it has not said that it is
    this.waiting = []; // what came since
  }

  get isFrozen() {
    return this.held !== null;
  }

  get isPending() {
    return this.pressedMs !== null;
  }

  /** The picture that is looked at is the one that the device would store. */
  get isTheDevices() {
    return this.held === null || (!this.localOnly && !this.isPending && this.held.length > 0 && this.held.isLast);
  }

  press(nowMs, { localOnly = false } = {}) {
    if (this.held !== null) return;
    this.held = this.history.held();
    this.localOnly = localOnly;
    this.left = null;
    this.pressedMs = localOnly ? null : nowMs;
  }

  /** `asked`: the device was asked to let go as well; for a moment, that it is still frozen is no news. */
  release(nowMs, { asked = false } = {}) {
    this.left = asked && this.there ? { held: this.held, localOnly: this.localOnly, ms: nowMs } : null;
    this.there = this.localOnly = false;
    this.held = this.pressedMs = null;
    this.waiting = [];
    this.history.clear(); // time has passed unseen: what was before it would not be "the last seconds"
  }

  /** The device would not be let go: it is still held. */
  notReleased() {
    if (this.left) this.left.ms = -Infinity;
  }

  /** The device did not freeze: whatever is held, only this page holds it. True: it is so from now on. */
  notConfirmed() {
    if (!this.isPending) return false;
    this.pressedMs = null;
    this.waiting = [];
    this.localOnly = true;
    return true;
  }

  /** True: the device has had time enough to say that it is frozen, and has not. */
  late(nowMs) {
    return this.isPending && nowMs - this.pressedMs > TO_CONFIRM_MS && this.notConfirmed();
  }

  /** A picture came. True: it is to be shown now. */
  picture(message) {
    if (this.held === null) {
      this.history.add(message);
      return true;
    }
    const standing = this.held.pictures.at(-1);
    if (standing && sameFrame(standing, message)) {
      this.held.pictures[this.held.length - 1] = message; // the same once more, with what was asked for since
      return this.held.isLast;
    }
    if (this.isPending) this.waiting.push(message);
    else if (this.there && !this.localOnly && message.header.frozen) return this.append([message]); // the last before it froze was still on its way
    return false;
  }

  /** True: they are looked at. Who has scrolled back already stays there. */
  append(messages) {
    const atEnd = this.held.isLast;
    this.held.pictures.push(...messages);
    if (atEnd) this.held.go(this.held.length - 1);
    return atEnd;
  }

  /** What the device says. True: what is held is another thing from now on, or nothing. */
  device(isFrozen, nowMs) {
    const { left } = this;
    if (left && isFrozen && nowMs - left.ms <= TO_LEAVE_MS) return false;
    this.left = null;
    if (isFrozen && !this.there) {
      this.there = true;
      if (this.localOnly) return false;
      if (left) ({ held: this.held, localOnly: this.localOnly } = left);
      else if (this.held === null) this.held = this.history.held();
      else this.confirm();
      return true;
    }
    if (!isFrozen && this.there) {
      this.there = false;
      if (this.localOnly) return false;
      this.release(nowMs);
      return true;
    }
    return false;
  }

  confirm() {
    this.pressedMs = null;
    this.append(this.waiting);
    this.waiting = [];
  }
}

function sameFrame(one, other) {
  return one.header.seq === other.header.seq && one.header.session === other.header.session;
}

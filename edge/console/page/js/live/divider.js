// The divider of the split view: dragged by a finger anywhere on the picture, or moved by the arrow keys.
import { el } from "../parts/dom.js";
import { say } from "../parts/say.js";

export class Divider {
  constructor(stage, canvas, moved) {
    this.place = 0.5;
    this.moved = moved;
    this.canvas = canvas;
    this.node = el("div", {
      class: "divider", role: "slider", tabindex: "0", hidden: true, "aria-label": say("live.divider"),
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal",
      onkeydown: (event) => this.key(event),
    }, el("span", { class: "grip", "aria-hidden": "true" }));
    stage.append(this.node);
    this.drag(stage);
    this.observer = new ResizeObserver(() => this.lay());
    this.observer.observe(canvas);
    this.move(0.5);
  }

  set shown(shown) {
    this.node.hidden = !shown;
    this.lay();
  }

  drag(stage) {
    const follow = (event) => {
      const box = this.picture();
      this.move((event.clientX - this.canvas.getBoundingClientRect().left - box.left) / box.width);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (this.node.hidden || (event.target !== this.canvas && !this.node.contains(event.target))) return;
      stage.setPointerCapture(event.pointerId);
      stage.addEventListener("pointermove", follow);
      follow(event);
    });
    const release = () => stage.removeEventListener("pointermove", follow);
    stage.addEventListener("pointerup", release);
    stage.addEventListener("pointercancel", release);
  }

  key(event) {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
    const to = { Home: 0, End: 1 }[event.key];
    if (by === undefined && to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(to ?? this.place + by);
  }

  move(place) {
    this.place = Math.min(1, Math.max(0, place));
    this.node.setAttribute("aria-valuenow", String(Math.round(this.place * 100)));
    this.lay();
    this.moved(this.place);
  }

  /** Where the picture lies inside the canvas, which is larger where their shapes differ. */
  picture() {
    const { clientWidth, clientHeight, width, height } = this.canvas;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    return { left: (clientWidth - width * scale) / 2, top: (clientHeight - height * scale) / 2, width: width * scale, height: height * scale };
  }

  lay() {
    const { left, top, width, height } = this.picture();
    const { style } = this.node;
    style.left = `${this.canvas.offsetLeft + left + this.place * width}px`;
    style.top = `${this.canvas.offsetTop + top}px`;
    style.height = `${height}px`;
  }

  end() {
    this.observer.disconnect();
  }
}

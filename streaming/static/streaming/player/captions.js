// Captions: the session's texts as tracks, drawn by the page in the viewer's own size and background.

import { remember, remembered } from "./texts.js";

export const OFF = "off";

export class Captions extends EventTarget {
  #tracks = []; // [{ id, label, language, track }]
  #chosen = OFF;

  constructor(video, stage, box) {
    super();
    Object.assign(this, { video, stage, box });
    const { captionSize = "medium", captionBack = "shade" } = remembered();
    this.style({ captionSize, captionBack });
    // The full screen of a telephone shows the video alone, so its own captions must be on there.
    video.addEventListener("webkitbeginfullscreen", () => this.#mode("showing"));
    video.addEventListener("webkitendfullscreen", () => this.#mode("hidden"));
  }

  /** Take the texts of a new session, and show the language that the viewer chose before. */
  load(texts) {
    for (const { element } of this.#tracks) element.remove();
    this.#tracks = texts.map((text) => {
      const element = document.createElement("track");
      Object.assign(element, { kind: text.kind, label: text.label, srclang: text.language, src: text.url });
      this.video.append(element);
      element.track.mode = "disabled";
      element.track.addEventListener("cuechange", () => this.#draw());
      return { id: text.id, label: nameOf(text), text, element, track: element.track };
    });
    const wanted = remembered().captions;
    const known = this.#tracks.find(({ text }) => text.language === wanted && !text.is_forced);
    const usual = this.#tracks.find(({ text }) => text.is_default || text.is_forced);
    this.choose((wanted === OFF ? null : (known ?? usual))?.id ?? OFF, { keep: false });
  }

  get choices() {
    return [{ id: OFF, label: "Off" }, ...this.#tracks.map(({ id, label }) => ({ id, label }))];
  }

  get chosen() {
    return this.#chosen;
  }

  choose(id, { keep = true } = {}) {
    this.#chosen = id;
    for (const each of this.#tracks) each.track.mode = each.id === id ? "hidden" : "disabled";
    const chosen = this.#tracks.find((each) => each.id === id);
    if (keep) remember({ captions: chosen ? chosen.text.language : OFF });
    this.#draw();
    this.dispatchEvent(new Event("changed"));
  }

  /** Turn captions on or off; return what is shown now, or null if there are none. */
  toggle() {
    if (!this.#tracks.length) return null;
    this.choose(this.#chosen === OFF ? this.#tracks[0].id : OFF);
    return this.choices.find(({ id }) => id === this.#chosen).label;
  }

  style(change) {
    Object.assign(this.stage.dataset, change);
    remember(change);
  }

  #mode(mode) {
    const chosen = this.#tracks.find(({ id }) => id === this.#chosen);
    if (chosen) chosen.track.mode = mode;
  }

  #draw() {
    const chosen = this.#tracks.find(({ id }) => id === this.#chosen);
    const cues = chosen ? [...(chosen.track.activeCues ?? [])] : [];
    this.box.replaceChildren(
      ...cues.map((cue) => {
        const line = document.createElement("p");
        const text = document.createElement("span");
        text.append(cue.getCueAsHTML());
        line.append(text);
        return line;
      }),
    );
  }
}

function nameOf({ label, language, is_sdh: isSdh, is_forced: isForced }) {
  const name = label || language;
  if (isForced) return `${name} (forced)`;
  return isSdh ? `${name} (for the hard of hearing)` : name;
}

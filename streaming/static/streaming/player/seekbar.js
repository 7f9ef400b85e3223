// The seek bar: the place in the video, what is loaded, chapters, and a preview from the storyboard.

import { clock, cueAt, cuesOf, spoken } from "./texts.js";

export class SeekBar {
  #chapters = [];
  #pictures = [];
  #isDragged = false;

  constructor(stage, playback) {
    const find = (name) => stage.querySelector(name);
    Object.assign(this, { playback, video: playback.video, input: find(".seek input") });
    Object.assign(this, { track: find(".seek .track"), loaded: find(".seek .loaded"), played: find(".seek .played") });
    Object.assign(this, { ticks: find(".seek .ticks"), preview: find(".preview"), time: find(".time") });
    Object.assign(this, { chapter: find(".chapter"), seek: find(".seek") });
    const { input, video } = this;
    for (const name of ["timeupdate", "durationchange", "progress", "seeking", "emptied"])
      video.addEventListener(name, () => this.draw());
    input.addEventListener("input", () => {
      this.#isDragged = true;
      this.#show(Number(input.value));
      this.draw();
    });
    input.addEventListener("change", () => {
      this.#isDragged = false;
      playback.seek(Number(input.value));
      this.#hide();
    });
    this.seek.addEventListener("pointermove", (event) => {
      const { left, width } = this.track.getBoundingClientRect();
      this.#show((Math.min(Math.max(0, event.clientX - left), width) / width) * this.duration);
    });
    this.seek.addEventListener("pointerleave", () => this.#hide());
    input.addEventListener("blur", () => this.#hide());
  }

  /** Seconds of the whole video; of a growing one, those that are there. */
  get duration() {
    const { duration } = this.video;
    return Number.isFinite(duration) && duration > 0 ? duration : this.known;
  }

  /** Take chapters and storyboard of a new session. `seconds`: the duration that the page knows. */
  async load(session, seconds) {
    this.known = seconds;
    this.draw();
    const storyboard = session.storyboard_url;
    const [chapters, pictures] = await Promise.all([cuesOf(session.chapters_url), cuesOf(storyboard)]);
    this.#chapters = chapters;
    this.#pictures = pictures.map((cue) => ({ ...cue, ...pictureOf(cue.text, storyboard) }));
    this.draw();
    return chapters;
  }

  draw() {
    const { input, duration, video } = this;
    const place = this.#isDragged ? Number(input.value) : (this.playback.position ?? 0);
    input.max = duration || 0;
    if (!this.#isDragged) input.value = place;
    const chapter = this.chapterAt(place);
    const of = `${spoken(place)} of ${spoken(duration)}`;
    input.setAttribute("aria-valuetext", chapter ? `${of}, ${chapter.text}` : of);
    this.time.textContent = `${clock(place)} / ${clock(duration)}`;
    this.chapter.textContent = chapter?.text ?? "";
    const share = (seconds) => `${duration ? Math.min(100, (seconds / duration) * 100) : 0}%`;
    this.played.style.width = share(place);
    this.loaded.style.width = share(loadedUntil(video, place));
    const marks = this.#chapters.filter(({ start }) => start > 0 && start < duration);
    if (this.ticks.childElementCount !== marks.length)
      this.ticks.replaceChildren(...marks.map(() => document.createElement("i")));
    marks.forEach(({ start }, number) => (this.ticks.children[number].style.left = share(start)));
  }

  chapterAt(seconds) {
    return this.#chapters.length ? cueAt(this.#chapters, seconds) : undefined;
  }

  #show(seconds) {
    const { preview, duration } = this;
    if (!duration) return;
    const picture = this.#pictures.length ? cueAt(this.#pictures, seconds) : undefined;
    const frame = preview.querySelector(".frame");
    frame.hidden = !picture;
    if (picture) {
      Object.assign(frame.style, {
        width: `${picture.width}px`,
        height: `${picture.height}px`,
        backgroundImage: `url("${picture.url}")`,
        backgroundPosition: `-${picture.x}px -${picture.y}px`,
      });
    }
    const chapter = this.chapterAt(seconds);
    preview.querySelector("span").textContent = chapter ? `${chapter.text} · ${clock(seconds)}` : clock(seconds);
    preview.hidden = false;
    const { width } = this.track.getBoundingClientRect();
    const half = preview.offsetWidth / 2;
    const left = Math.min(Math.max(half, (seconds / duration) * width), Math.max(half, width - half));
    preview.style.left = `${left}px`;
  }

  #hide() {
    this.preview.hidden = true;
  }
}

function loadedUntil({ buffered }, place) {
  for (let number = 0; number < buffered.length; number += 1)
    if (buffered.start(number) <= place + 0.5 && buffered.end(number) >= place) return buffered.end(number);
  return place;
}

function pictureOf(name, storyboard) {
  const url = new URL(name.trim(), storyboard);
  const [x, y, width, height] = url.hash.replace("#xywh=", "").split(",").map(Number);
  url.hash = "";
  return { url: url.href, x, y, width, height };
}

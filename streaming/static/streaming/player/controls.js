// The buttons and menus of the player.

import { clock, remember, remembered } from "./texts.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const HIDE_MILLISECONDS = 3000;

export class Controls {
  #timer = 0;

  constructor(stage, playback, captions, say) {
    const find = (name) => stage.querySelector(name);
    Object.assign(this, { stage, playback, captions, say, find, video: playback.video });
    const { video } = this;
    const press = (name, act) => find(name)?.addEventListener("click", act);
    press(".play", () => this.toggle());
    press(".mute", () => this.mute());
    press(".full", () => this.fullScreen());
    press(".pip", () => this.pictureInPicture());
    press(".help", () => this.help());
    video.addEventListener("click", () => this.#tapped());
    find(".volume").addEventListener("input", (event) => this.setVolume(Number(event.target.value)));
    for (const panel of ["captions", "settings", "chapters"])
      press(`.open-${panel}`, () => this.#open(panel));
    for (const panel of stage.querySelectorAll(".panel"))
      panel.addEventListener("keydown", (event) => event.key === "Escape" && this.closePanels({ focus: true }));
    this.#selects();
    this.#taste();
    for (const name of ["play", "pause", "ended", "waiting", "playing", "volumechange", "emptied", "seeked"])
      video.addEventListener(name, () => this.draw());
    playback.addEventListener("changed", () => this.fill());
    playback.addEventListener("started", () => this.fill());
    captions.addEventListener("changed", () => this.fill());
    document.addEventListener("fullscreenchange", () => this.draw());
    for (const name of ["pointermove", "focusin", "keydown"]) stage.addEventListener(name, () => this.wake());
    find(".pip").hidden = !document.pictureInPictureEnabled;
    this.draw();
  }

  /** Show the bar; it hides again while the video plays and nothing in it is used. */
  wake() {
    this.stage.classList.remove("quiet");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const isUsed = this.stage.querySelector(".panel:not([hidden]), .bar :focus-visible");
      this.stage.classList.toggle("quiet", !this.video.paused && !isUsed);
    }, HIDE_MILLISECONDS);
  }

  toggle() {
    this.playback.toggle();
    this.wake();
  }

  skip(seconds) {
    this.playback.seek((this.playback.position ?? 0) + seconds);
    this.say(clock(this.playback.position));
    this.wake();
  }

  setVolume(volume) {
    this.video.volume = Math.min(1, Math.max(0, volume));
    this.video.muted = this.video.volume === 0;
    remember({ volume: this.video.volume });
    this.wake();
  }

  mute() {
    this.video.muted = !this.video.muted;
    if (!this.video.muted && this.video.volume === 0) this.video.volume = 0.5;
    this.say(this.video.muted ? "Muted" : "Sound on");
  }

  speed(step) {
    const now = SPEEDS.indexOf(this.video.playbackRate);
    this.#setSpeed(SPEEDS[Math.min(Math.max(0, (now < 0 ? 2 : now) + step), SPEEDS.length - 1)]);
  }

  async fullScreen() {
    const { stage, video } = this;
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (stage.requestFullscreen) await stage.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.();
  }

  async pictureInPicture() {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await this.video.requestPictureInPicture().catch(() => this.say("Picture in picture is not possible now."));
  }

  help() {
    this.closePanels();
    this.find(".keys").showModal();
  }

  toggleCaptions() {
    const shown = this.captions.toggle();
    this.say(shown === null ? "This video has no captions." : `Captions: ${shown}`);
  }

  closePanels({ focus = false } = {}) {
    for (const panel of this.stage.querySelectorAll(".panel:not([hidden])")) {
      panel.hidden = true;
      const opener = this.find(`.open-${panel.id}`);
      opener.setAttribute("aria-expanded", "false");
      if (focus) opener.focus();
    }
  }

  /** Fill the menus with what this video has, now that it is known or has changed. */
  fill() {
    const { engine } = this.playback;
    if (!engine) return;
    const { qualities } = engine;
    const playing = qualities.find(({ isPlaying }) => isPlaying);
    const automatic = { id: -1, label: playing ? `Auto (${playing.label})` : "Auto" };
    options(this.find("#quality"), [automatic, ...qualities], engine.quality);
    this.find("#quality").parentElement.hidden = qualities.length === 0;
    options(this.find("#sound"), engine.sounds, engine.sound);
    this.find("#sound").parentElement.hidden = engine.sounds.length < 2;
    options(this.find("#caption"), this.captions.choices, this.captions.chosen);
    this.find(".open-captions").hidden = this.captions.choices.length < 2;
    this.find(".open-captions").classList.toggle("on", this.captions.chosen !== "off");
  }

  /** Show the chapters of the video as a list of places to go to. */
  chapters(cues) {
    const list = this.find("#chapters ol");
    this.find(".open-chapters").hidden = cues.length === 0;
    list.replaceChildren(
      ...cues.map(({ start, text }) => {
        const [item, button, time] = ["li", "button", "time"].map((name) => document.createElement(name));
        button.type = "button";
        time.textContent = clock(start);
        button.append(time, ` ${text}`);
        button.addEventListener("click", () => {
          this.playback.seek(start);
          this.closePanels({ focus: true });
        });
        item.append(button);
        return item;
      }),
    );
  }

  draw() {
    const { video, find, stage } = this;
    const isRunning = !video.paused && !video.ended;
    label(find(".play"), isRunning ? "Pause" : "Play");
    stage.classList.toggle("playing", isRunning);
    find(".big").hidden = isRunning;
    find(".spinner").hidden = !(isRunning && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA);
    const isSilent = video.muted || video.volume === 0;
    label(find(".mute"), isSilent ? "Sound on" : "Mute");
    stage.classList.toggle("muted", isSilent);
    find(".volume").value = isSilent ? 0 : video.volume;
    label(find(".full"), document.fullscreenElement ? "Leave full screen" : "Full screen");
    if (!isRunning) stage.classList.remove("quiet");
    else this.wake();
  }

  /** A mouse plays and pauses; on a telephone the first tap shows a hidden bar. */
  #tapped() {
    const hadPanel = this.find(".panel:not([hidden])");
    this.closePanels();
    if (hadPanel) return;
    if (matchMedia("(hover: none)").matches && this.stage.classList.contains("quiet")) this.wake();
    else this.toggle();
  }

  #open(name) {
    const panel = this.find(`#${name}`);
    const wasOpen = !panel.hidden;
    this.closePanels();
    if (wasOpen) return;
    this.fill();
    panel.hidden = false;
    this.find(`.open-${name}`).setAttribute("aria-expanded", "true");
    panel.querySelector("select:not([hidden]), button")?.focus();
  }

  #selects() {
    const changed = (name, act) => this.find(name).addEventListener("change", (event) => act(event.target.value));
    options(this.find("#speed"), SPEEDS.map((id) => ({ id, label: id === 1 ? "Normal" : `${id}×` })), 1);
    changed("#quality", (value) => (this.playback.engine.quality = Number(value)));
    changed("#sound", (value) => (this.playback.engine.sound = Number(value)));
    changed("#speed", (value) => this.#setSpeed(Number(value)));
    changed("#caption", (value) => this.captions.choose(value));
    changed("#caption-size", (value) => this.captions.style({ captionSize: value }));
    changed("#caption-back", (value) => this.captions.style({ captionBack: value }));
    this.find("#caption-size").value = this.stage.dataset.captionSize;
    this.find("#caption-back").value = this.stage.dataset.captionBack;
  }

  #taste() {
    const { volume = 1, speed = 1 } = remembered();
    this.video.volume = volume;
    this.video.muted = volume === 0;
    this.#setSpeed(SPEEDS.includes(speed) ? speed : 1, { quietly: true });
  }

  #setSpeed(speed, { quietly = false } = {}) {
    this.video.defaultPlaybackRate = this.video.playbackRate = speed;
    this.find("#speed").value = speed;
    remember({ speed });
    if (!quietly) this.say(`Speed ${speed}`);
  }
}

function label(button, text) {
  button.setAttribute("aria-label", text);
  button.title = text;
}

/** Fill a select, unless its options are the same already: that would close it while it is open. */
function options(select, choices, chosen) {
  const now = JSON.stringify(choices.map(({ id, label: text }) => [String(id), text]));
  if (select.dataset.now !== now) {
    select.dataset.now = now;
    select.replaceChildren(...choices.map(({ id, label: text }) => new Option(text, id)));
  }
  select.value = String(chosen);
}

// Playing an HLS address: by hls.js where the browser has Media Source Extensions, else by the browser's own
// player. hls.js comes first: some browsers with HLS of their own cannot play encrypted segments or let
// a page choose the quality.

import { call } from "./api.js";
import { protectionOf } from "./protection.js";

const BEFORE_PLAY_SECONDS = 1; // One segment: what is delivered counts, so a page alone takes no more.
const BUFFER_SECONDS = 30;
const BUFFER_BYTES = 60_000_000;
const LOST_MILLISECONDS = 2000; // Between two tries while the network is away.
const REFUSALS = [401, 403, 404, 410];

/**
 * Return a player for a video element, or null where nothing plays HLS. `report` has the functions
 * `refused(status)`, `broken()`, `lost()`, `back()` and `changed()` (qualities or sound tracks).
 */
export function engineFor(video, report) {
  const { Hls } = globalThis;
  if (Hls?.isSupported()) return new HlsJs(video, report);
  if (video.canPlayType("application/vnd.apple.mpegurl")) return new Native(video, report);
  return null;
}

class HlsJs {
  #hls = null;
  #again = 0;
  #isLost = false;

  constructor(video, report) {
    Object.assign(this, { video, report });
    addEventListener("online", () => this.#isLost && this.#retry());
  }

  /** Play an HLS address; `drm` is what the session says of keys, or null. */
  load(address, position, drm) {
    this.unload();
    const { Hls } = globalThis;
    const hls = new Hls({
      ...(drm && protectionOf(drm)),
      enableWorker: false, // A worker would come from a blob: address, which our policy forbids.
      startPosition: position,
      maxBufferLength: BEFORE_PLAY_SECONDS,
      maxMaxBufferLength: BEFORE_PLAY_SECONDS,
      maxBufferSize: 1,
      backBufferLength: 60,
      capLevelToPlayerSize: false,
      enableCEA708Captions: false,
      subtitleTrackController: undefined, // The page shows the session's own texts.
      subtitleStreamController: undefined,
      timelineController: undefined,
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, data) => this.#failed(hls, data));
    hls.on(Hls.Events.FRAG_LOADED, () => this.#arrived());
    for (const name of ["MANIFEST_PARSED", "LEVEL_SWITCHED", "AUDIO_TRACKS_UPDATED", "AUDIO_TRACK_SWITCHED"])
      hls.on(Hls.Events[name], () => this.report.changed());
    hls.loadSource(address);
    hls.attachMedia(this.video);
  }

  /** Load ahead as far as playing needs: the video plays. */
  hurry() {
    const ahead = { maxBufferLength: BUFFER_SECONDS, maxMaxBufferLength: 2 * BUFFER_SECONDS };
    if (this.#hls) Object.assign(this.#hls.config, ahead, { maxBufferSize: BUFFER_BYTES });
  }

  /** Drop the video and everything that was loaded of it. */
  unload() {
    clearTimeout(this.#again);
    this.#isLost = false;
    this.#hls?.destroy();
    this.#hls = null;
  }

  /** The qualities of the codec that plays, the largest first: `{id, label, isPlaying}`. */
  get qualities() {
    const levels = this.#hls?.levels ?? [];
    const playing = levels[this.#hls?.currentLevel] ?? levels[this.#hls?.firstLevel];
    return levels
      .map((level, id) => ({ id, level, isPlaying: level === playing }))
      .filter(({ level }) => !playing || level.codecSet === playing.codecSet)
      .sort((a, b) => b.level.height - a.level.height || b.level.bitrate - a.level.bitrate)
      .map(({ id, level, isPlaying }) => ({ id, isPlaying, label: nameOf(level) }));
  }

  get quality() {
    return this.#hls && !this.#hls.autoLevelEnabled ? this.#hls.manualLevel : -1;
  }

  /** Play one quality from now on; -1 lets the player choose. */
  set quality(id) {
    if (this.#hls) this.#hls.currentLevel = id;
  }

  get sounds() {
    return (this.#hls?.audioTracks ?? []).map(({ name, lang }, id) => ({ id, label: name || lang }));
  }

  get sound() {
    return this.#hls?.audioTrack ?? -1;
  }

  set sound(id) {
    if (this.#hls) this.#hls.audioTrack = id;
  }

  #failed(hls, data) {
    if (hls !== this.#hls) return; // It was unloaded meanwhile.
    const { Hls } = globalThis;
    const status = data.response?.code ?? 0;
    if (REFUSALS.includes(status)) this.report.refused(status);
    else if (data.type === Hls.ErrorTypes.NETWORK_ERROR) this.#lose(status, data.fatal);
    else if (data.fatal && data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.hasRecovered) {
      this.hasRecovered = true;
      hls.recoverMediaError();
    } else if (data.fatal) this.report.broken();
  }

  /** Say that the network is away. hls.js tries again by itself, up to an error that is fatal to it. */
  #lose(status, isFatal) {
    if (!isFatal && status !== 0) return;
    if (!this.#isLost) this.report.lost();
    this.#isLost = true;
    clearTimeout(this.#again);
    if (isFatal) this.#again = setTimeout(() => this.#retry(), LOST_MILLISECONDS);
  }

  #retry() {
    if (!this.#hls) return;
    if (this.#hls.levels.length) this.#hls.startLoad(this.video.currentTime || -1);
    else this.#hls.loadSource(this.#hls.url);
  }

  #arrived() {
    clearTimeout(this.#again);
    if (this.#isLost) this.report.back();
    this.#isLost = false;
  }
}

class Native {
  #address = "";

  constructor(video, report) {
    Object.assign(this, { video, report, qualities: [], quality: -1 });
    video.addEventListener("error", () => this.#address && this.#failed());
  }

  async load(address, position) {
    this.#address = address;
    try {
      const playlist = await (await call(address)).text();
      // A browser's own player may not be able to change the codec on the way.
      const one = playlist.includes('"av01') ? address.replace(/master\.m3u8$/, "h264.m3u8") : address;
      if (this.#address !== address) return;
      this.video.src = one;
      this.video.currentTime = position;
    } catch (refusal) {
      this.#tell(refusal);
    }
  }

  hurry() {}

  unload() {
    this.#address = "";
    this.video.removeAttribute("src");
    this.video.load();
  }

  get sounds() {
    const tracks = [...(this.video.audioTracks ?? [])];
    return tracks.map(({ label, language }, id) => ({ id, label: label || language }));
  }

  get sound() {
    return [...(this.video.audioTracks ?? [])].findIndex((track) => track.enabled);
  }

  set sound(wanted) {
    [...(this.video.audioTracks ?? [])].forEach((track, id) => (track.enabled = id === wanted));
  }

  /** Ask the API why: the player does not tell. */
  async #failed() {
    try {
      await call(this.#address);
      this.report.broken();
    } catch (refusal) {
      this.#tell(refusal);
    }
  }

  #tell(refusal) {
    if (REFUSALS.includes(refusal.status)) this.report.refused(refusal.status);
    else this.report.lost();
  }
}

function nameOf({ width, height, bitrate, frameRate }) {
  const short = Math.min(width, height);
  if (!short) return `${Math.round(bitrate / 1000)} kbit/s`;
  return `${short}p${frameRate > 31 ? Math.round(frameRate) : ""}`;
}

// Playback of one video: gets a session from the API, plays it, goes on where the viewer was, and tells
// the page of every refusal.

import { call, Refusal } from "./api.js";
import { engineFor } from "./engine.js";
import { Heartbeats } from "./heartbeats.js";
import { whyNot } from "./protection.js";

const NO_PLAYER =
  "This browser cannot play this video: it has neither Media Source Extensions nor HLS. Try a current" +
  " Chrome, Edge, Firefox or Safari.";
const BROKEN = "The browser could not play this video. Try again, or try another browser.";
const PREVIEW_ENDED = "The preview ends here.";
const IDLE_MILLISECONDS = 60_000; // After a pause as long as this, a session may be over without a reason.
const NOTICED_MILLISECONDS = 40_000; // From play until the next heartbeat, or the end of what is loaded, tells.

/**
 * Events: `started` (a session runs), `refused` (`detail`: the Refusal), `lost` and `back` (the network),
 * `changed` (qualities or sound tracks).
 */
export class Playback extends EventTarget {
  #pausedAt = 0;
  #returnedAt = 0; // When the viewer pressed play after a long pause.
  #starting = null;

  constructor(video, account, streamUrl, { hasPreview = false } = {}) {
    super();
    Object.assign(this, { video, account, streamUrl, hasPreview, session: null, position: null });
    this.wasPlaying = false;
    this.engine = engineFor(video, {
      refused: () => this.#refusedByMedia(),
      broken: () => this.stop(new Refusal(BROKEN, -1, "broken")),
      lost: () => this.#emit("lost"),
      back: () => this.#emit("back"),
      changed: () => this.#emit("changed"),
    });
    this.heartbeats = new Heartbeats(video, (refusal) => this.#ended(refusal));
    video.addEventListener("timeupdate", () => this.session && (this.position = video.currentTime));
    video.addEventListener("pause", () => (this.#pausedAt = performance.now()));
    video.addEventListener("play", () => this.#goesOn());
    video.addEventListener("playing", () => (this.wasPlaying = true));
    video.addEventListener("ended", () => this.#endPreview());
  }

  /** Start a session and go on at the viewer's place. Calls meanwhile wait for the same start. */
  start({ play }) {
    this.#starting ??= this.#start(play).finally(() => (this.#starting = null));
    return this.#starting;
  }

  async #start(play) {
    if (!this.engine) return this.stop(new Refusal(NO_PLAYER, -1, "no_player"));
    try {
      const address = this.hasPreview ? `${this.streamUrl}?preview=true` : this.streamUrl;
      const token = await (await this.account.call(address)).json();
      this.session = await (await call(token.stream_url)).json();
    } catch (refusal) {
      return this.stop(refusal);
    }
    const { session, video } = this;
    const from = this.position ?? session.resume_seconds ?? 0;
    this.resumedAt = this.position === null && from > 0 ? from : null;
    this.position = from;
    if (session.is_preview && from >= session.preview_seconds) return this.#endPreview();
    const why = await whyNot(session.drm);
    if (session !== this.session) return undefined; // It was stopped meanwhile.
    if (why) return this.stop(new Refusal(why, -1, "no_key_system"));
    // A long pause before this session says nothing about its end.
    this.#pausedAt = video.paused ? performance.now() : 0;
    this.#returnedAt = 0;
    this.engine.load(session.hls_url, from, session.drm);
    this.heartbeats.begin(session);
    this.#emit("started");
    if (play) video.play().catch(() => {}); // A browser that forbids this leaves the play button.
  }

  /** Play or pause. A session that may have ended during a long pause is replaced. */
  async toggle() {
    const { video } = this;
    if (!video.paused) return video.pause();
    if (!this.session) return this.start({ play: true });
    if (video.ended) video.currentTime = 0;
    return video.play().catch(() => {});
  }

  /** Go to a place in the video, in seconds; the place is kept while no session runs. */
  seek(seconds) {
    const { duration } = this.video;
    const end = Number.isFinite(duration) ? duration : Infinity;
    const place = Math.min(Math.max(0, seconds), end);
    this.position = place;
    if (this.session) this.video.currentTime = place;
  }

  /** End playback on this page, drop what was loaded, and tell the page why. */
  stop(refusal) {
    this.heartbeats.end();
    this.session = null;
    this.video.pause();
    this.engine?.unload();
    this.#emit("refused", refusal);
  }

  /** A segment was refused. The API says why, in words. */
  async #refusedByMedia() {
    const { session } = this;
    if (!session) return;
    try {
      await call(session.hls_url);
      throw new Refusal(BROKEN, -1, "broken");
    } catch (refusal) {
      if (session === this.session) await this.#ended(refusal);
    }
  }

  #goesOn() {
    const now = performance.now();
    if (this.#pausedAt && now - this.#pausedAt > IDLE_MILLISECONDS) this.#returnedAt = now;
    this.#pausedAt = 0;
    this.engine?.hurry();
  }

  /** The session is over. After a long pause that is nobody's deed, so go on; else find out why. */
  async #ended(refusal) {
    const { video } = this;
    const now = performance.now();
    if (!this.session) return;
    if (video.paused && this.#pausedAt && now - this.#pausedAt > IDLE_MILLISECONDS) {
      this.#silence();
      return;
    }
    if (this.#returnedAt && now - this.#returnedAt < NOTICED_MILLISECONDS && !refusal.passes) {
      this.#silence();
      await this.start({ play: true });
      return;
    }
    this.stop(refusal);
    if (refusal.passes || refusal.code === "broken") return;
    try {
      await this.account.call(this.streamUrl);
    } catch (reason) {
      if (!this.session && !reason.passes) this.#emit("refused", reason); // It says more: buy, sign in, gone.
    }
  }

  /** Offer the video at the end of its preview. That of a growing video may have to wait for more. */
  #endPreview() {
    const { session, position } = this;
    if (!session?.is_preview || (session.dash_url === null && position < session.preview_seconds)) return;
    this.stop(new Refusal(PREVIEW_ENDED, 403, "preview_ended"));
  }

  /** Forget a session that ended while the viewer was away; pressing play starts the next one. */
  #silence() {
    this.heartbeats.end();
    this.session = null;
    this.engine.unload();
  }

  #emit(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

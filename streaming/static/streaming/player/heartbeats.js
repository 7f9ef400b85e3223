// Heartbeats: tells the API which seconds were played, and how playing felt.

import { post } from "./api.js";

const MOST = 100; // intervals in one heartbeat

export class Heartbeats {
  #session = null;
  #timer = 0;
  #lastTime = null; // The end of the newest interval in `watched`; null after a seek.
  #watched = []; // Intervals [from, to] in seconds that no heartbeat has reported yet.
  #pressed = 0; // When the viewer pressed play; 0 once the first picture has been seen.
  #startup = null;
  #stalledSince = 0;
  #stalled = 0;

  /** `refused` is called with the Refusal that ends the session. */
  constructor(video, refused) {
    Object.assign(this, { video, refused });
    for (const name of ["playing", "timeupdate", "seeking", "seeked"])
      video.addEventListener(name, () => this.#note());
    video.addEventListener("play", () => (this.#pressed ||= this.#startup === null ? performance.now() : 0));
    video.addEventListener("playing", () => this.#runs());
    video.addEventListener("waiting", () => this.#stalls());
    for (const name of ["pause", "ended"]) video.addEventListener(name, () => this.send());
    addEventListener("pagehide", () => this.send());
  }

  begin(session) {
    this.#session = session;
    this.#lastTime = null;
    this.#startup = null;
    this.#pressed = this.video.paused ? 0 : performance.now();
    this.#stalled = this.#stalledSince = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.send(), session.heartbeat_interval_seconds * 1000);
  }

  end() {
    clearInterval(this.#timer);
    this.#session = null;
  }

  /** Send a heartbeat, unless the video is paused and all is reported. */
  async send() {
    const session = this.#session;
    if (!session || (this.video.paused && !this.#watched.length)) return;
    if (this.#stalledSince) this.#stalls();
    const intervals = this.#watched.splice(0, MOST);
    const stalled = Math.round(this.#stalled);
    this.#stalled = 0;
    const body = {
      position_seconds: this.video.currentTime,
      state: this.#state(),
      watched: intervals,
      rebuffer_ms: Math.min(stalled, 3_600_000),
    };
    if (this.#startup !== null) body.startup_ms = this.#startup;
    try {
      // It arrives even if the page is being closed.
      await post(session.heartbeat_url, body, { keepalive: true, headers: { "Playback-Grant": session.grant } });
    } catch (refusal) {
      if (session !== this.#session) return;
      if (refusal.passes) {
        this.#watched = intervals.concat(this.#watched); // The next heartbeat reports them.
        this.#stalled += stalled;
      } else this.refused(refusal);
    }
  }

  #state() {
    const { video } = this;
    if (video.ended) return "ended";
    if (video.paused) return "paused";
    return video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA ? "buffering" : "playing";
  }

  /** Add the time since the last call to the intervals. A jump of the viewer is not counted. */
  #note() {
    if (!this.#session || this.video.seeking) {
      this.#lastTime = null;
      return;
    }
    const now = this.video.currentTime;
    const newest = this.#watched.at(-1);
    if (this.#lastTime !== null && now > this.#lastTime) {
      if (newest && newest[1] === this.#lastTime) newest[1] = now;
      else this.#watched.push([this.#lastTime, now]);
    }
    this.#lastTime = now;
  }

  #runs() {
    if (this.#startup === null && this.#pressed)
      this.#startup = Math.min(Math.round(performance.now() - this.#pressed), 3_600_000);
    if (this.#stalledSince) this.#stalled += performance.now() - this.#stalledSince;
    this.#stalledSince = 0;
  }

  /** A stall begins, or goes on: count up to now. Waiting after a jump, or for the start, is none. */
  #stalls() {
    if (this.#startup === null || this.video.seeking) return;
    const now = performance.now();
    if (this.#stalledSince) this.#stalled += now - this.#stalledSince;
    this.#stalledSince = now;
  }
}

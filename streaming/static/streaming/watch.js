// The player of one video, on its page and at the moderators' desk: gets a playback session from the API,
// plays its HLS address with the browser's own player, and reports the seconds that were played
// (heartbeats).
"use strict";

const video = document.querySelector("video");
const notice = document.getElementById("notice");
const signIn = document.getElementById("sign-in");
const again = document.getElementById("again");

const GROWTH_MILLISECONDS = 2000; // Between two looks whether a growing video has more.

let accessToken = ""; // Kept in memory only, so that it is gone when the page is closed.
let session = null; // The API's answer at the start of the session; null while there is none.
let timer = 0;
let position = 0; // The viewer's place in the video, also while no session runs.
let lastTime = null; // The end of the newest interval in `watched`; null after a seek.
let watched = []; // Intervals [from, to] in seconds that no heartbeat has reported yet.

/** A refusal in the API's own sentence. `status` is 0 when the service could not be reached. */
class Refusal extends Error {
  constructor(sentence, status = 0, code = "") {
    super(sentence);
    Object.assign(this, { status, code });
  }
}

/** Return the response of a successful call. Throws Refusal for every other answer, and for none. */
async function call(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  let response;
  try {
    response = await fetch(url, { ...options, headers });
  } catch {
    throw new Refusal("The service cannot be reached. Check your connection, and try again.");
  }
  if (response.ok) return response;
  const errors = (await response.json().catch(() => ({}))).errors ?? [];
  const sentence = errors.map((error) => error.detail).join(" ");
  throw new Refusal(
    sentence || `The service answered with the error ${response.status}. Try again later.`,
    response.status,
    errors[0]?.code,
  );
}

/** Return the playlist with one codec: a browser's own player may not be able to change it on the way. */
async function ofOneCodec(address) {
  const playlist = await (await call(address)).text();
  return playlist.includes('"av01') ? address.replace(/master\.m3u8$/, "h264.m3u8") : address;
}

/** Start a session, and go on at the viewer's place. A refusal is shown. */
async function start({ play }) {
  let playlist;
  try {
    const headers = accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
    const token = await (await call(video.dataset.stream, { headers })).json();
    session = await (await call(token.stream_url)).json();
    playlist = await ofOneCodec(session.hls_url);
  } catch (refusal) {
    stop(refusal);
    return;
  }
  notice.hidden = true;
  lastTime = null;
  video.src = playlist;
  video.currentTime = position;
  timer = setInterval(report, session.heartbeat_interval_seconds * 1000);
  if (play) video.play().catch(() => {}); // A browser that forbids this leaves the play button.
}

/** Add captions and chapters to the player. A browser that takes captions from HLS has them already. */
function addTexts() {
  for (const old of video.querySelectorAll("track")) old.remove();
  const fromHls = video.textTracks.length > 0;
  const chapters = { kind: "chapters", label: "Chapters", language: "", url: session.chapters_url };
  const texts = fromHls ? [] : session.captions;
  for (const text of session.chapters_url ? [...texts, chapters] : texts) {
    const track = document.createElement("track");
    const { kind, label, language: srclang, url: src } = text;
    Object.assign(track, { kind, label, srclang, src, default: Boolean(text.is_default) });
    video.append(track);
  }
}

/** End playback on this page and show why. A viewer who may need an account gets the sign-in form. */
function stop(refusal, { retry = true } = {}) {
  clearInterval(timer);
  session = null;
  video.pause();
  video.removeAttribute("src");
  video.load();
  document.getElementById("sentence").textContent = refusal.message;
  signIn.hidden = refusal.status !== 401 && refusal.code !== "purchase_required";
  again.hidden = !signIn.hidden || !retry;
  notice.hidden = false;
}

/** Send a heartbeat, unless the video is paused and all is reported. */
async function report() {
  if (!session || (video.paused && !watched.length)) return;
  const intervals = watched.splice(0, 100);
  const body = { position_seconds: video.currentTime, state: playerState(), watched: intervals };
  try {
    await call(session.heartbeat_url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Playback-Grant": session.grant },
      body: JSON.stringify(body),
      keepalive: true, // It arrives even if the page is being closed.
    });
  } catch (refusal) {
    const passes = refusal.status === 0 || refusal.status === 429 || refusal.status >= 500;
    if (passes) watched = intervals.concat(watched); // The next heartbeat reports them.
    else if (session) stop(refusal);
  }
}

function playerState() {
  if (video.ended) return "ended";
  if (video.paused) return "paused";
  return video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA ? "buffering" : "playing";
}

/** Add the time since the last call to `watched`. A jump of the viewer is not counted. */
function note() {
  if (!session || video.seeking) {
    lastTime = null;
    return;
  }
  position = video.currentTime;
  const newest = watched.at(-1);
  if (lastTime !== null && position > lastTime) {
    if (newest && newest[1] === lastTime) newest[1] = position;
    else watched.push([lastTime, position]);
  }
  lastTime = position;
}

video.addEventListener("loadedmetadata", () => session && addTexts());

/** Return how many seconds of a growing video there are by now, and whether these are all. */
async function grown() {
  const read = async (address) => (await call(address)).text();
  const name = (await read(session.hls_url)).split("\n").find((line) => line && !line.startsWith("#"));
  const playlist = await read(new URL(name, session.hls_url));
  const lengths = [...playlist.matchAll(/^#EXTINF:([0-9.]+)/gm)].map((found) => Number(found[1]));
  return [lengths.reduce((sum, length) => sum + length, 0), playlist.includes("#EXT-X-ENDLIST")];
}

/** Go on with a growing video: Chromium reads its playlist once, and ends with what was there. */
async function goOn() {
  const grows = session; // A session without DASH is one of a video that was growing at its start.
  while (session && session === grows && session.dash_url === null && video.ended) {
    const [seconds, isWhole] = await grown().catch(() => [0, false]);
    if (session === grows && seconds > position + 0.5) {
      video.src = session.hls_url;
      video.currentTime = position;
      await video.play().catch(() => {});
      return;
    }
    if (isWhole) return;
    await new Promise((wake) => setTimeout(wake, GROWTH_MILLISECONDS));
  }
}

/** Say at the end of a preview how to go on. A preview of a growing video may have to wait for its end. */
function endPreview() {
  if (!session?.is_preview || (session.dash_url === null && position < session.preview_seconds)) return;
  const sentence = "The preview ends here. Sign in with an account that has bought this video to go on.";
  stop(new Refusal(sentence, 403, "purchase_required"));
}

for (const name of ["playing", "timeupdate", "seeking", "seeked"]) video.addEventListener(name, note);
video.addEventListener("pause", report);
video.addEventListener("ended", report);
video.addEventListener("ended", goOn);
video.addEventListener("ended", endPreview);
addEventListener("pagehide", report);
video.addEventListener("error", async () => {
  if (!session) return;
  try {
    await call(session.hls_url); // The player does not tell why, but the API does.
    throw new Refusal("The browser could not play this video. Try again, or try another browser.");
  } catch (refusal) {
    stop(refusal);
  }
});
again.addEventListener("click", () => start({ play: true }));
signIn.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await call(video.dataset.signIn, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(signIn))),
    });
    accessToken = (await answer.json()).access_token;
  } catch (refusal) {
    document.getElementById("sentence").textContent = refusal.message;
    return;
  }
  signIn.reset();
  await start({ play: true });
});

if (!video.canPlayType("application/vnd.apple.mpegurl")) {
  const sentence =
    "This browser cannot play HLS by itself. Chrome, Chromium and Edge can from version 142 on, and so can Safari.";
  stop(new Refusal(sentence), { retry: false });
} else if (video.dataset.waits) {
  stop(new Refusal(video.dataset.waits)); // The page starts no session before its reader wants one.
} else {
  start({ play: false });
}

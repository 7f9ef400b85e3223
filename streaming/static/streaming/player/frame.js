// The player in a frame of another page: takes its commands and tells it what happens, by postMessage.
// docs/embedding.md describes the messages.

const TOLD_MILLISECONDS = 250; // At most four `timeupdate` in a second.

export function connect(playback, patterns) {
  if (parent === window) return;
  let host = originOfHost(); // Whom events go to.
  let toldAt = 0;

  const tell = (event, detail = {}) => {
    if (host) parent.postMessage({ vod: 1, event, ...detail }, host);
  };
  const state = () => ({
    seconds: playback.position ?? 0,
    duration: Number.isFinite(playback.video.duration) ? playback.video.duration : null,
  });

  const commands = {
    hello: () => tell("ready", state()),
    play: () => playback.video.paused && playback.toggle(),
    pause: () => playback.video.pause(),
    seek: ({ seconds }) => Number.isFinite(seconds) && playback.seek(seconds),
  };

  addEventListener("message", ({ source, origin, data }) => {
    if (source !== parent || !isAllowed(origin, patterns)) return;
    if (data?.vod !== 1 || !Object.hasOwn(commands, data.command)) return;
    host = origin;
    commands[data.command](data);
  });

  const { video } = playback;
  if (!isAllowed(host, patterns)) host = "";
  playback.addEventListener("started", () => tell("ready", state()));
  playback.addEventListener("refused", ({ detail }) =>
    tell("refused", { code: detail.code, status: detail.status, detail: detail.message }),
  );
  for (const name of ["play", "pause", "ended"]) video.addEventListener(name, () => tell(name, state()));
  video.addEventListener("timeupdate", () => {
    if (performance.now() - toldAt < TOLD_MILLISECONDS) return;
    toldAt = performance.now();
    tell("timeupdate", state());
  });
}

/** Return the origin of the page around this one; "" where the browser does not tell. */
function originOfHost() {
  const told = location.ancestorOrigins?.[0];
  if (told) return told;
  return document.referrer ? new URL(document.referrer).origin : "";
}

/** Whether an origin is this service's own, or its host is one of the patterns. */
export function isAllowed(origin, patterns) {
  if (origin === location.origin) return true;
  let host = "";
  try {
    host = new URL(origin).hostname;
  } catch {
    return false; // "" and "null"
  }
  return patterns.some((pattern) => {
    if (pattern === "*") return true;
    return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
  });
}

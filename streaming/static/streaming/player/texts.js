// Times in words, the cues of WebVTT files, and the settings that a browser remembers.

import { call } from "./api.js";

/** Return seconds as 1:02 or 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Return seconds as "1 hour 2 minutes 3 seconds", for a screen reader. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ];
  const said = parts.filter(([number]) => number).map(([n, unit]) => `${n} ${unit}${n === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

const MARK = /((?:\d+:)?\d\d:\d\d\.\d{3})[ \t]+-->[ \t]+((?:\d+:)?\d\d:\d\d\.\d{3})/;

function secondsOf(mark) {
  return mark.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Return the cues of a WebVTT file, `{start, end, text}` in seconds; none if it cannot be read. */
export async function cuesOf(address) {
  if (!address) return [];
  const text = await call(address, { headers: { Accept: "text/vtt" } })
    .then((answer) => answer.text())
    .catch(() => "");
  const cues = [];
  for (const block of text.split(/\r?\n(?:[ \t]*\r?\n)+/)) {
    const found = MARK.exec(block);
    if (!found) continue;
    const body = block.slice(block.indexOf("\n", found.index) + 1).trim();
    cues.push({ start: secondsOf(found[1]), end: secondsOf(found[2]), text: plain(body) });
  }
  return cues;
}

function plain(markup) {
  const area = document.createElement("textarea"); // It decodes entities and runs nothing.
  area.innerHTML = markup.replace(/<[^>]*>/g, "");
  return area.value;
}

/** Return the cue at a time, or undefined. */
export function cueAt(cues, seconds) {
  return cues.findLast((cue) => cue.start <= seconds) ?? cues[0];
}

const STORE = "player";
const SESSION = "playback-session";

/** Return the id of the session that this tab played last, also on an earlier page; "" without one. */
export function lastSession() {
  try {
    return sessionStorage.getItem(SESSION) ?? "";
  } catch {
    return "";
  }
}

export function rememberSession(id) {
  try {
    sessionStorage.setItem(SESSION, id);
  } catch {
    // A closed storage: the viewer is then asked about the session of the page before.
  }
}

/** Return what this browser remembers of a viewer's taste: volume, speed, captions. Never a token. */
export function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {}; // Storage is closed to frames of other sites and in some private windows.
  }
}

export function remember(change) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...remembered(), ...change }));
  } catch {
    // The setting then holds until the page is closed.
  }
}

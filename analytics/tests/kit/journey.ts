// What the README of the TypeScript client does not show: refusals, renewals, cuts and resumed uploads.
// `node journey.js URL CUT_URL FOLDER`, as journey.py.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError, NotReady, ProcessingFailed, result, Vod } from "vod-client";

const [, , url = "", cutUrl = "", folder = ""] = process.argv;
const { VOD_EMAIL = "", VOD_PASSWORD = "" } = process.env;
const noise = join(folder, "noise.mp4");
const megabyte = 1024 ** 2;

const refused = (code: string) => (error: unknown) => error instanceof ApiError && error.code === code;

await assert.rejects(Vod.signIn(url, VOD_EMAIL, "another pass phrase"), refused("wrong_credentials"));
const anonymous = new Vod(url);
await assert.rejects(async () => result(await anonymous.api.GET("/api/v1/auth/me")), refused("not_authenticated"));

// A token that is about to expire is renewed before a request, and one that is refused after it.
const vod = await Vod.signIn(url, VOD_EMAIL, VOD_PASSWORD);
const sent: string[] = [];
const fetched = globalThis.fetch;
let breaks = 0;
globalThis.fetch = async (input, init) => {
  assert(input instanceof Request);
  sent.push(`${input.method} ${new URL(input.url).pathname}`);
  if (breaks > 0 && input.headers.has("Authorization")) {
    breaks--;
    input.headers.set("Authorization", "Bearer refused");
  }
  return fetched(input, init);
};
const me = async () => result(await vod.api.GET("/api/v1/auth/me"));
const now = Date.now;
Date.now = () => now() + 16 * 60_000;
await me();
Date.now = now;
assert.deepEqual(sent.splice(0), ["POST /api/v1/auth/refresh", "GET /api/v1/auth/me"]);
breaks = 3;
await Promise.all([me(), me(), me()]); // one renewal for all: a refresh token counts once
assert.equal(sent.filter((each) => each.endsWith("/refresh")).length, 1);
globalThis.fetch = fetched;

// A wait ends: by its time-out, or by its signal.
const empty = result(await vod.api.POST("/api/v1/videos/", { body: { title: "Without a file" } }));
await assert.rejects(vod.waitUntilReady(empty.id, { timeout: 1000, poll: 300 }), NotReady);
await assert.rejects(vod.waitUntilReady(empty.id, { signal: AbortSignal.timeout(300) }), { name: "TimeoutError" });

// An upload that was stopped goes on where it stood.
const stop = new AbortController();
let address = "";
await assert.rejects(
  vod.upload(await readFile(noise), {
    chunkSize: megabyte,
    signal: stop.signal,
    onUrl: (given) => (address = given),
    onProgress: (bytes) => bytes >= 3 * megabyte && stop.abort(),
  }),
  { name: "AbortError" },
);
const seen: number[] = [];
const resumed = await vod.upload(await readFile(noise), { resume: address, onProgress: (bytes) => seen.push(bytes) });
assert.equal(resumed.url, address);
assert.equal(seen.length, 1); // one request for all that was left

// An upload through cut connections arrives whole, and a failed video says why.
const cut = await Vod.signIn(cutUrl, VOD_EMAIL, VOD_PASSWORD);
const uploaded = await cut.upload(createReadStream(noise), { title: "Noise", chunkSize: megabyte });
await assert.rejects(
  cut.waitUntilReady(uploaded.videoId, { timeout: 60_000, poll: 200 }),
  (error) => error instanceof ProcessingFailed && error.code !== "" && error.message.endsWith("."),
);

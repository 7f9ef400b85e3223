// The journey with openapi-fetch, over the types that openapi-typescript generates:
// `node journey_fetch.js URL CLIP EMAIL PASSWORD`. The email address and the password are the administrator's.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./generated/fetch.js";

type Schemas = components["schemas"];
type Api = Client<paths>;
type Answer<T> = { data?: T; error?: Schemas["Error"]; response: Response };

const [, , baseUrl, clip, adminEmail, adminPassword] = process.argv;
const password = "a long pass phrase";
const patience = 120; // seconds until the clip must be READY

/** Return the body of an answer that is no error. */
function good<T>({ data, error, response }: Answer<T>): T {
  assert(data !== undefined, `${response.status} ${response.url}: ${JSON.stringify(error)}`);
  return data;
}

/** Return the one error of an answer, which must have this status and code. */
function refused(answer: Answer<object>, status: number, code: string): Schemas["ErrorDetail"] {
  assert.equal(answer.response.status, status);
  assert(answer.error, "The answer has no typed error.");
  const [error] = answer.error.errors;
  assert.equal(error.code, code);
  assert.notEqual(error.detail, "");
  return error;
}

/** Write a body as a form, with its files. */
function asForm(body: object): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries<string | number | boolean | Blob | null | string[]>({ ...body })) {
    for (const each of Array.isArray(value) ? value : [value]) {
      form.append(name, each instanceof Blob ? each : String(each));
    }
  }
  return form;
}

/** Sign in, and return a client that sends the access token. */
async function signIn(email: string, secret: string): Promise<Api> {
  const api = createClient<paths>({ baseUrl });
  const tokens = good(await api.POST("/api/v1/auth/login", { body: { email, password: secret } }));
  api.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${tokens.access_token}`);
      return request;
    },
  });
  return api;
}

/** Create an account, and return its signed-in client. */
async function register(name: string): Promise<Api> {
  const api = createClient<paths>({ baseUrl });
  const body = { email: `${name}-${randomUUID()}@example.com`, password, display_name: name };
  const user = good(await api.POST("/api/v1/auth/register", { body }));
  assert.equal(user.email, body.email);
  assert.equal(user.role, "VIEWER");

  const again = await api.POST("/api/v1/auth/register", { body });
  assert.equal(refused(again, 400, "unique").attr, "email");
  const wrong = { email: body.email, password: "another pass phrase" };
  refused(await api.POST("/api/v1/auth/login", { body: wrong }), 401, "wrong_credentials");
  return signIn(body.email, password);
}

/** Let an administrator make the user a creator; the user may not do so. */
async function becomeCreator(creator: Api, admin: Api): Promise<void> {
  const { id } = good(await creator.GET("/api/v1/auth/me"));
  const role: Schemas["RoleEnum"] = "CREATOR";
  const request = { params: { path: { id } }, body: { role } };
  refused(await creator.PATCH("/api/v1/users/{id}/role", request), 403, "permission_denied");
  const user = good(await admin.PATCH("/api/v1/users/{id}/role", request));
  assert.equal(user.role, "CREATOR");
}

/** Upload the clip as a paid video, and return its id when it is READY. */
async function upload(creator: Api): Promise<string> {
  const untitled = await creator.POST("/api/v1/videos/", { body: { title: " " } });
  assert.equal(refused(untitled, 400, "blank").attr, "title");
  const created = good(
    await creator.POST("/api/v1/videos/", {
      body: {
        title: "The harbour at night",
        is_paid: true,
        price: "19.99",
        tags: ["fog", "harbour"],
        file: new File([await openAsBlob(clip)], "harbour.mp4"),
      },
      bodySerializer: asForm,
    }),
  );
  assert.equal(created.status, "UPLOADED");
  assert.equal(created.source?.filename, "harbour.mp4");

  for (let second = 0; second < patience; second++) {
    const video = good(
      await creator.GET("/api/v1/videos/{id}", { params: { path: { id: created.id } } }),
    );
    assert.notEqual(video.status, "FAILED", video.processing?.error?.detail);
    if (video.status === "READY") return video.id;
    await sleep(1000);
  }
  throw new Error(`The video is not READY after ${patience} seconds.`);
}

/** Buy the video, after a card that is declined, and return the order's id. */
async function buy(viewer: Api, video: Schemas["Video"]): Promise<string> {
  const path = { video_id: video.id };
  const declined = await viewer.POST("/api/v1/payments/purchase/{video_id}", {
    params: { path },
    body: { payment_method: "pm_card_chargeDeclined" },
  });
  assert.equal(refused(declined, 402, "card_declined").decline_code, "generic_decline");

  const wish = {
    params: { path, header: { "Idempotency-Key": randomUUID() } },
    body: { payment_method: "pm_card_visa" },
  };
  const { order } = good(await viewer.POST("/api/v1/payments/purchase/{video_id}", wish));
  assert.equal(order.status, "paid");
  assert.equal(order.amount, video.price);
  assert.equal(order.currency, video.currency);
  const again = good(await viewer.POST("/api/v1/payments/purchase/{video_id}", wish));
  assert.equal(again.order.id, order.id); // the key gets the stored answer
  return order.id;
}

/** Ask to watch the video. */
function ask(viewer: Api, video_id: string) {
  return viewer.GET("/api/v1/stream/{video_id}", { params: { path: { video_id } } });
}

/** Start playback, fetch a playlist and a segment, and report the part that was played. */
async function watch(viewer: Api, id: string): Promise<Schemas["Playback"]> {
  const { stream_token: token } = good(await ask(viewer, id));
  const playback = good(
    await createClient<paths>({ baseUrl }).GET("/api/v1/stream/play/{token}", {
      params: { path: { token }, header: { Accept: "application/json" } },
    }),
  );
  const segment = await fetch(await firstAddress(await firstAddress(playback.hls_url)));
  assert.equal(segment.status, 200);
  assert((await segment.arrayBuffer()).byteLength > 100);
  assert.equal((await heartbeat(playback)).response.status, 204);
  return playback;
}

/** Return the first address that an HLS playlist names. */
async function firstAddress(playlist: string): Promise<string> {
  const answer = await fetch(playlist);
  assert.equal(answer.status, 200);
  const line = (await answer.text()).split("\n").find((each) => each && !each.startsWith("#"));
  assert(line, "The playlist names no address.");
  return new URL(line, playlist).href;
}

/** Report that the first fifth of a second was played, as a player that is not signed in. */
function heartbeat({ session_id, grant }: Schemas["Playback"]) {
  return createClient<paths>({ baseUrl }).POST("/api/v1/stream/sessions/{id}/heartbeat", {
    params: { path: { id: session_id }, header: { "Playback-Grant": grant } },
    body: { position_seconds: 0.2, state: "playing", watched: [[0, 0.2]] },
  });
}

/** Wait until the media files of an ended session answer 410, within two seconds. */
async function waitForTheEnd({ hls_url }: Schemas["Playback"]): Promise<void> {
  for (let tenth = 0; tenth < 30; tenth++) {
    if ((await fetch(hls_url)).status === 410) return;
    await sleep(100);
  }
  throw new Error("The media files of the ended session can still be fetched.");
}

const admin = await signIn(adminEmail, adminPassword);
const creator = await register("creator");
await becomeCreator(creator, admin);
const id = await upload(creator);

const viewer = await register("viewer");
const video = good(await viewer.GET("/api/v1/videos/{id}", { params: { path: { id } } }));
assert(video.playable);
refused(await ask(viewer, id), 403, "purchase_required");

const order = await buy(viewer, video);
const playback = await watch(viewer, id);

const refund = { params: { path: { id: order } } };
const refunded = good(await viewer.POST("/api/v1/payments/orders/{id}/refund", refund));
assert.equal(refunded.status, "refunded");
refused(await ask(viewer, id), 403, "purchase_required");
refused(await heartbeat(playback), 410, "session_ended");
await waitForTheEnd(playback);

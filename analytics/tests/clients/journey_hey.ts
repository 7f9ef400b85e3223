// The journey with the client that @hey-api/openapi-ts generates: `node journey_hey.js URL CLIP EMAIL
// PASSWORD`. The email address and the password are the administrator's.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "./generated/hey/client/index.js";
import * as sdk from "./generated/hey/sdk.gen.js";
import type {
  Error as Problem,
  ErrorDetail,
  PaymentsPurchaseCreateData,
  Playback,
  RoleEnum,
  StreamPlayRetrieveData,
  StreamSessionsHeartbeatCreateData,
  Video,
} from "./generated/hey/types.gen.js";

// The client takes other headers too. Named by these types, a header must stand in the document.
type PurchaseHeaders = PaymentsPurchaseCreateData["headers"];
type PlayHeaders = StreamPlayRetrieveData["headers"];
type HeartbeatHeaders = StreamSessionsHeartbeatCreateData["headers"];
type Answer<T> = { data?: T; error?: Problem; response?: Response };

const [, , baseUrl, clip, adminEmail, adminPassword] = process.argv;
const password = "a long pass phrase";
const patience = 120; // seconds until the clip must be READY
const anyone = createClient({ baseUrl });

/** Return the body of an answer that is no error. */
function good<T>({ data, error, response }: Answer<T>): T {
  assert(data !== undefined, `${response?.status} ${response?.url}: ${JSON.stringify(error)}`);
  return data;
}

/** Return the one error of an answer, which must have this status and code. */
function refused(answer: Answer<unknown>, status: number, code: string): ErrorDetail {
  assert.equal(answer.response?.status, status);
  assert(answer.error, "The answer has no typed error.");
  const [error] = answer.error.errors;
  assert.equal(error.code, code);
  assert.notEqual(error.detail, "");
  return error;
}

/** Sign in, and return a client that sends the access token. */
async function signIn(email: string, secret: string): Promise<Client> {
  const body = { email, password: secret };
  const { access_token } = good(await sdk.authLoginCreate({ client: anyone, body }));
  return createClient({ baseUrl, auth: access_token });
}

/** Create an account, and return its signed-in client. */
async function register(name: string): Promise<Client> {
  const body = { email: `${name}-${randomUUID()}@example.com`, password, display_name: name };
  const user = good(await sdk.authRegisterCreate({ client: anyone, body }));
  assert.equal(user.email, body.email);
  assert.equal(user.role, "VIEWER");

  const again = await sdk.authRegisterCreate({ client: anyone, body });
  assert.equal(refused(again, 400, "unique").attr, "email");
  const wrong = { email: body.email, password: "another pass phrase" };
  refused(await sdk.authLoginCreate({ client: anyone, body: wrong }), 401, "wrong_credentials");
  return signIn(body.email, password);
}

/** Let an administrator make the user a creator; the user may not do so. */
async function becomeCreator(creator: Client, admin: Client): Promise<void> {
  const { id } = good(await sdk.authMeRetrieve({ client: creator }));
  const role: RoleEnum = "CREATOR";
  const request = { path: { id }, body: { role } };
  const answer = await sdk.usersRolePartialUpdate({ client: creator, ...request });
  refused(answer, 403, "permission_denied");
  const user = good(await sdk.usersRolePartialUpdate({ client: admin, ...request }));
  assert.equal(user.role, "CREATOR");
}

/** Create a paid video, upload the clip as its file, and return its id when it is READY. */
async function upload(client: Client): Promise<string> {
  const untitled = await sdk.videosCreate({ client, body: { title: " " } });
  assert.equal(refused(untitled, 400, "blank").attr, "title");
  const details = { title: "The harbour", is_paid: true, price: "19.99", tags: ["fog", "harbour"] };
  const { id } = good(await sdk.videosCreate({ client, body: details }));
  const file = new File([await openAsBlob(clip)], "harbour.mp4");
  const uploaded = good(await sdk.videosFileUpdate({ client, path: { id }, body: { file } }));
  assert.equal(uploaded.status, "UPLOADED");
  assert.equal(uploaded.source?.filename, "harbour.mp4");

  for (let second = 0; second < patience; second++) {
    const video = good(await sdk.videosRetrieve({ client, path: { id } }));
    assert.notEqual(video.status, "FAILED", video.processing?.error?.detail);
    if (video.status === "READY") return id;
    await sleep(1000);
  }
  throw new Error(`The video is not READY after ${patience} seconds.`);
}

/** Buy the video, after a card that is declined, and return the order's id. */
async function buy(client: Client, video: Video): Promise<string> {
  const path = { video_id: video.id };
  const badCard = { payment_method: "pm_card_chargeDeclined" };
  const declined = await sdk.paymentsPurchaseCreate({ client, path, body: badCard });
  assert.equal(refused(declined, 402, "card_declined").decline_code, "generic_decline");

  const headers: PurchaseHeaders = { "Idempotency-Key": randomUUID() };
  const wish = { client, path, headers, body: { payment_method: "pm_card_visa" } };
  const { order } = good(await sdk.paymentsPurchaseCreate(wish));
  assert.equal(order.status, "paid");
  assert.equal(order.amount, video.price);
  assert.equal(order.currency, video.currency);
  const again = good(await sdk.paymentsPurchaseCreate(wish));
  assert.equal(again.order.id, order.id); // the key gets the stored answer
  return order.id;
}

/** Start playback, fetch a playlist and a segment, and report the part that was played. */
async function watch(client: Client, video_id: string): Promise<Playback> {
  const { stream_token: token } = good(await sdk.streamRetrieve({ client, path: { video_id } }));
  const headers: PlayHeaders = { Accept: "application/json" };
  const playback = good(await sdk.streamPlayRetrieve({ client: anyone, path: { token }, headers }));
  const segment = await fetch(await firstAddress(await firstAddress(playback.hls_url)));
  assert.equal(segment.status, 200);
  assert((await segment.arrayBuffer()).byteLength > 100);
  assert.equal((await heartbeat(playback)).response?.status, 204);
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
function heartbeat({ session_id, grant }: Playback) {
  const headers: HeartbeatHeaders = { "Playback-Grant": grant };
  return sdk.streamSessionsHeartbeatCreate({
    client: anyone,
    path: { id: session_id },
    headers,
    body: { position_seconds: 0.2, state: "playing", watched: [[0, 0.2]] },
  });
}

/** Wait until the media files of an ended session answer 410, within two seconds. */
async function waitForTheEnd({ hls_url }: Playback): Promise<void> {
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
const asked = { client: viewer, path: { video_id: id } };
const video = good(await sdk.videosRetrieve({ client: viewer, path: { id } }));
assert(video.playable);
refused(await sdk.streamRetrieve(asked), 403, "purchase_required");

const order = await buy(viewer, video);
const playback = await watch(viewer, id);

const path = { id: order };
const refunded = good(await sdk.paymentsOrdersRefundCreate({ client: viewer, path }));
assert.equal(refunded.status, "refunded");
refused(await sdk.streamRetrieve(asked), 403, "purchase_required");
refused(await heartbeat(playback), 410, "session_ended");
await waitForTheEnd(playback);

/**
 * The client of a self-hosted video-on-demand service, for browsers and Node.js.
 *
 * {@link Vod} signs in and keeps signed in, uploads, waits and plays. Everything else of the API is
 * `vod.api`, typed by the service's OpenAPI document: `result(await vod.api.GET("/api/v1/videos/"))`.
 */

import createClient, { type Client } from "openapi-fetch";
import { type Previous, sendFile, type Source, type UploadOptions } from "./uploads.js";
import { ApiError, NotReady, ProcessingFailed, result } from "./errors.js";
import type { components, paths } from "./generated/schema.js";

export { ApiError, NotReady, ProcessingFailed, result } from "./errors.js";
export { verifyWebhook, WebhookVerificationError, type WebhookEvent } from "./webhooks.js";
export type { Previous, Source, UploadOptions } from "./uploads.js";
export type { components, paths } from "./generated/schema.js";

export type Schemas = components["schemas"];

/** Milliseconds before an access token expires in which it is renewed. */
const EARLY = 30_000;

export interface VodOptions {
  /** An API key or an access token. Without one, requests are anonymous. */
  token?: string;
}

export interface WaitOptions {
  /** Milliseconds until {@link NotReady}; an hour. */
  timeout?: number;
  /** Milliseconds between two looks; two seconds. */
  poll?: number;
  /** Gets the percent that are processed. */
  onProgress?: (percent: number) => void;
  signal?: AbortSignal;
}

export interface Uploaded {
  videoId: string;
  /** The upload's own address. */
  url: string;
}

/** A connection to one service. */
export class Vod {
  readonly url: string;
  /** The whole API, typed. Its requests are signed and renewed as those of this class. */
  readonly api: Client<paths>;
  #token: string;
  #refreshToken = "";
  #expiresAt = 0;
  #renewal: Promise<void> | undefined;

  constructor(url: string, { token = "" }: VodOptions = {}) {
    this.url = url.replace(/\/+$/, "");
    this.#token = token;
    this.api = createClient<paths>({ baseUrl: this.url, fetch: (request) => this.#fetch(request) });
  }

  /** Sign in with a password, and stay signed in. Throws {@link ApiError}. */
  static async signIn(url: string, email: string, password: string): Promise<Vod> {
    const vod = new Vod(url);
    vod.#take(result(await vod.api.POST("/api/v1/auth/login", { body: { email, password } })));
    return vod;
  }

  /** Create an account, and sign in. Throws {@link ApiError}: `unique` for an address that has one. */
  static async register(url: string, account: Schemas["RegisterRequest"]): Promise<Vod> {
    result(await new Vod(url).api.POST("/api/v1/auth/register", { body: account }));
    return Vod.signIn(url, account.email, account.password);
  }

  /**
   * Send a file, and return its video, whose processing is then queued.
   *
   * With `title` a new video is made; with `videoId` that video gets the file. Lost connections are
   * passed over. A browser finds an upload of the same file again that was interrupted, and goes on;
   * elsewhere `resume` does. Throws what tus-js-client throws, and an `AbortError`.
   */
  upload(file: Source, options: UploadOptions = {}): Promise<Uploaded> {
    return sendFile(`${this.url}/api/v1/uploads/`, file, options, () => this.#freshToken());
  }

  /**
   * Return a video when it is READY. Throws {@link ProcessingFailed} with the service's reason,
   * {@link NotReady} after the time-out, and {@link ApiError}. Lost connections are passed over.
   */
  async waitUntilReady(id: string, options: WaitOptions = {}): Promise<Schemas["Video"]> {
    const { timeout = 3_600_000, poll = 2000, onProgress, signal } = options;
    const end = Date.now() + timeout;
    for (;;) {
      signal?.throwIfAborted();
      const video = await this.#look(id);
      if (video?.status === "READY") return video;
      if (video?.status === "FAILED") {
        const error = video.processing?.error;
        throw new ProcessingFailed(error?.code ?? "failed", error?.detail ?? "The service gave no reason.");
      }
      if (video?.processing) onProgress?.(video.processing.percent ?? 0);
      if (Date.now() + poll > end) throw new NotReady(id, timeout);
      await pause(poll, signal);
    }
  }

  /** Return a video, or nothing if the connection is lost. */
  async #look(id: string): Promise<Schemas["Video"] | undefined> {
    let answer;
    try {
      answer = await this.api.GET("/api/v1/videos/{id}", { params: { path: { id } } });
    } catch (error) {
      if (error instanceof TypeError) return undefined; // the Fetch Standard: a network error
      throw error;
    }
    return result(answer);
  }

  /**
   * Begin to watch a video: the answer has the addresses of its playlists (HLS and DASH). Throws
   * {@link ApiError}: `purchase_required` for a video that must be bought first.
   */
  async play(videoId: string): Promise<Schemas["Playback"]> {
    const path = { video_id: videoId };
    const ticket = result(await this.api.GET("/api/v1/stream/{video_id}", { params: { path } }));
    return result(
      await this.api.GET("/api/v1/stream/play/{token}", {
        params: { path: { token: ticket.stream_token }, header: { Accept: "application/json" } },
      }),
    );
  }

  /** Sign a request and send it; after a 401, renew the sign-in and send it once more. */
  async #fetch(request: Request): Promise<Response> {
    const token = await this.#freshToken();
    const again = this.#refreshToken ? request.clone() : undefined;
    const answer = await fetch(signed(request, token));
    if (answer.status !== 401 || !again) return answer;
    await this.#renew(token);
    return fetch(signed(again, this.#token));
  }

  async #freshToken(): Promise<string> {
    if (this.#refreshToken && Date.now() > this.#expiresAt - EARLY) await this.#renew(this.#token);
    return this.#token;
  }

  /** Exchange the refresh token, which counts once: whoever comes meanwhile waits for the same answer. */
  async #renew(used: string): Promise<void> {
    if (this.#token !== used) return;
    this.#renewal ??= this.#exchange().finally(() => {
      this.#renewal = undefined;
    });
    await this.#renewal;
  }

  async #exchange(): Promise<void> {
    const anonymous = createClient<paths>({ baseUrl: this.url });
    const body = { refresh_token: this.#refreshToken };
    this.#take(result(await anonymous.POST("/api/v1/auth/refresh", { body })));
  }

  #take(tokens: Schemas["TokenPair"]): void {
    this.#token = tokens.access_token;
    this.#refreshToken = tokens.refresh_token;
    this.#expiresAt = Date.now() + tokens.expires_in * 1000;
  }
}

function signed(request: Request, token: string): Request {
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  return request;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

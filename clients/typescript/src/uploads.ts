import { type HttpRequest, Upload } from "tus-js-client";

/** A file: in browsers a `File` or `Blob`; in Node.js a `Buffer`, or the stream of `createReadStream`. */
export type Source = Upload["file"] | NodeJS.ReadableStream;

/** Where an upload stands that was interrupted: its address, as `onUrl` was told it. */
export type Previous = string;

export interface UploadOptions {
  /** The title of a new video; without it, the name of the file. */
  title?: string;
  /** The video that gets the file, instead of a new one. */
  videoId?: string;
  /** The name of the file. Browsers know it. */
  filename?: string;
  /** Gets the bytes that the service has, and the size. */
  onProgress?: (sent: number, size: number) => void;
  /** Gets the upload's address as soon as there is one: keep it for `resume`. */
  onUrl?: (url: Previous) => void;
  /** The address of an upload of the same file that was interrupted. */
  resume?: Previous;
  /** Bytes of one request; eight MiB. */
  chunkSize?: number;
  signal?: AbortSignal;
}

const CHUNK = 8 * 1024 * 1024;
const DELAYS = [0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]; // milliseconds
// The answers after which the rest may still be sent: too slow, another offset, busy, too many requests,
// and a checksum that shows that bytes were changed on the way.
const PASSING = new Set([408, 409, 423, 429, 460]);

/** Send a file by tus. `Vod.upload` says what is promised. */
export async function sendFile(
  endpoint: string,
  file: Source,
  options: UploadOptions,
  freshToken: () => Promise<string>,
): Promise<{ videoId: string; url: string }> {
  const { signal, resume } = options;
  signal?.throwIfAborted();
  let videoId = options.videoId ?? "";
  const { promise, resolve, reject } = deferred<void>();
  const upload = new Upload(file as Upload["file"], {
    endpoint,
    uploadUrl: resume ?? null,
    chunkSize: options.chunkSize ?? CHUNK,
    retryDelays: DELAYS,
    metadata: metadataOf(file, options),
    removeFingerprintOnSuccess: true,
    onBeforeRequest: async (request: HttpRequest) => {
      const token = await freshToken();
      if (token) request.setHeader("Authorization", `Bearer ${token}`);
    },
    onAfterResponse: (_request, response) => {
      videoId = response.getHeader("Video-Id") ?? videoId;
    },
    onShouldRetry: (error) => {
      const status = error.originalResponse?.getStatus() ?? 0;
      return status === 0 || status >= 500 || PASSING.has(status);
    },
    onChunkComplete: (_size, accepted, total) => options.onProgress?.(accepted, total),
    onUploadUrlAvailable: () => upload.url && options.onUrl?.(upload.url),
    onSuccess: () => resolve(),
    onError: reject,
  });
  if (!resume) {
    const [previous] = await upload.findPreviousUploads(); // in browsers; elsewhere none is kept
    if (previous) upload.resumeFromPreviousUpload(previous);
  }
  const stop = () => {
    void upload.abort();
    reject(signal?.reason);
  };
  signal?.addEventListener("abort", stop, { once: true });
  upload.start();
  try {
    await promise;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  return { videoId, url: upload.url ?? "" };
}

function metadataOf(file: Source, { title, videoId, filename }: UploadOptions): Record<string, string> {
  const named = "name" in file && typeof file.name === "string" ? file.name : "video";
  return {
    filename: filename ?? named,
    ...(title === undefined ? {} : { title }),
    ...(videoId === undefined ? {} : { video_id: videoId }),
  };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

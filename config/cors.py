"""The headers that pages of other origins may send to the API, and read in its answers (CORS)."""

ALLOWED = [
    "accept", "authorization", "content-type", "idempotency-key", "if-none-match", "playback-grant",
    "range", "x-request-id",
    # tus
    "tus-resumable", "upload-checksum", "upload-concat", "upload-defer-length", "upload-length",
    "upload-metadata", "upload-mode", "upload-offset", "x-http-method-override",
]  # fmt: skip
EXPOSED = [
    "content-range", "etag", "idempotent-replayed", "ratelimit-limit", "ratelimit-remaining",
    "ratelimit-reset", "retry-after", "x-request-id",
    # tus
    "location", "tus-checksum-algorithm", "tus-extension", "tus-max-size", "tus-resumable",
    "tus-version", "upload-concat", "upload-defer-length", "upload-expires", "upload-length",
    "upload-metadata", "upload-offset", "video-id",
]  # fmt: skip

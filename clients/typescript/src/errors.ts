import type { components } from "./generated/schema.js";

type Problem = components["schemas"]["ErrorDetail"];

/** The service has refused a request. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    readonly problems: readonly Problem[],
  ) {
    super(problems.map(({ code, detail }) => `${code}: ${detail}`).join("; ") || `The service answered ${status}.`);
  }

  /** The code of the first problem, such as `purchase_required`. */
  get code(): string {
    return this.problems[0]?.code ?? "";
  }
}

/** A video could not be processed. `code` and `message` are the service's reason. */
export class ProcessingFailed extends Error {
  override name = "ProcessingFailed";

  constructor(
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** A video was not READY in time. Processing goes on: wait again. */
export class NotReady extends Error {
  override name = "NotReady";

  constructor(id: string, timeout: number) {
    super(`The video ${id} is not READY after ${timeout / 1000} seconds.`);
  }
}

/** Return the body of an answer of `vod.api`. Throws {@link ApiError} for a refusal. */
export function result<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data !== undefined) return answer.data;
  const { error, response } = answer;
  const problems = isRefusal(error) ? error.errors : [];
  throw new ApiError(response.status, problems);
}

function isRefusal(body: unknown): body is { errors: Problem[] } {
  return typeof body === "object" && body !== null && "errors" in body && Array.isArray(body.errors);
}

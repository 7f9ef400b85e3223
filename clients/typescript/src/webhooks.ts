import { Webhook, WebhookVerificationError } from "standardwebhooks";

export { WebhookVerificationError };

/** A verified event. `id` is the same for each attempt: remember it, an event may arrive twice. */
export interface WebhookEvent {
  id: string;
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/**
 * Return the event of a request, from its body as it came and its headers. Throws
 * {@link WebhookVerificationError} for another signature, and for a time more than five minutes away.
 */
export function verifyWebhook(
  body: string,
  headers: Headers | Record<string, string | string[] | undefined>,
  secret: string,
): WebhookEvent {
  const given = headers instanceof Headers ? [...headers.entries()] : Object.entries(headers);
  const lower: Record<string, string> = {};
  for (const [name, value] of given) lower[name.toLowerCase()] = String(value ?? "");
  const payload = new Webhook(secret).verify(body, lower);
  if (typeof payload !== "object" || payload === null) throw new WebhookVerificationError("The body is no event.");
  return { ...(payload as Omit<WebhookEvent, "id">), id: lower["webhook-id"] ?? "" };
}

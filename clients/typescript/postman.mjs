// Write the Postman collection of the API: `node postman.mjs DOCUMENT FILE`.
//
// The converter gives each item a random id, and invents examples by Math.random and the clock: ids from the
// places, a generator with a seed and a clock that stands make two runs alike.

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";

let seed = 1;
Math.random = () => {
  seed = (seed * 48271) % 2147483647; // Park and Miller's generator
  return seed / 2147483647;
};

const START = Date.UTC(2026, 0, 1);
const Clock = Date;
globalThis.Date = class extends Clock {
  constructor(...values) {
    super(...(values.length ? values : [START]));
  }

  static now() {
    return START;
  }
};
const { default: converter } = await import("openapi-to-postmanv2"); // it keeps the generator that it finds

const [, , source, file] = process.argv;
const options = {
  folderStrategy: "Tags",
  requestNameSource: "Fallback",
  parametersResolution: "Example",
  optimizeConversion: false,
  stackLimit: 50,
  includeAuthInfoInExample: false,
};

/** Leave the examples of refusals out, which are alike and nine tenths of the file, and each item's own auth. */
function withoutRefusals(items) {
  for (const item of items) {
    if (item.item) withoutRefusals(item.item);
    if (item.request?.auth?.type === "oauth2") delete item.request.auth; // that of the collection counts
    if (item.response) item.response = item.response.filter(({ code }) => code < 300);
  }
}

/** Give a part of the collection, and all below it, ids that follow from the place and the name. */
function name(part, place) {
  if (Array.isArray(part)) return part.forEach((each, index) => name(each, `${place}/${index}`));
  if (typeof part !== "object" || part === null) return undefined;
  for (const key of ["id", "_postman_id"]) {
    if (typeof part[key] === "string" && /^[0-9a-f-]{36}$/.test(part[key]) && ("name" in part || key !== "id")) {
      const hash = createHash("sha256").update(`${place}:${part.name ?? ""}`).digest("hex");
      part[key] = hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");
    }
  }
  for (const [key, value] of Object.entries(part)) name(value, `${place}/${key}`);
  return undefined;
}

const data = await readFile(source, "utf8");
const collection = await new Promise((resolve, reject) => {
  converter.convertV2({ type: "string", data }, options, (error, answer) => {
    if (error) reject(error);
    else if (!answer.result) reject(new Error(answer.reason));
    else resolve(answer.output[0].data);
  });
});
withoutRefusals(collection.item);
name(collection, "");
// One variable signs all requests in; the collection has no token.
collection.auth = { type: "bearer", bearer: [{ key: "token", value: "{{token}}", type: "string" }] };
collection.variable = [
  { key: "baseUrl", value: "http://127.0.0.1:2001", type: "string" },
  { key: "token", value: "", type: "string" },
];
await writeFile(file, `${JSON.stringify(collection, null, 1)}\n`);

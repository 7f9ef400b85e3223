// Generate both TypeScript clients into a folder: `node generate.mjs DOCUMENT FOLDER`.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient } from "@hey-api/openapi-ts";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [, , source, folder] = process.argv;
await mkdir(folder, { recursive: true });

const blob = ts.factory.createTypeReferenceNode("Blob");
const types = await openapiTS(pathToFileURL(source), {
  defaultNonNullable: false, // a request may leave out a field that has a default
  transform: (schema) => (schema.format === "binary" ? blob : undefined), // a file is no string
});
await writeFile(join(folder, "fetch.ts"), astToString(types));

await createClient({
  input: source,
  output: { path: join(folder, "hey"), importFileExtension: ".js" }, // Node wants the extension
  plugins: ["@hey-api/client-fetch"],
  logs: { level: "warn" },
});

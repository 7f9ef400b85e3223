// Write the types of the API: `node generate.mjs DOCUMENT FILE`.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [, , source, file] = process.argv;
const blob = ts.factory.createTypeReferenceNode("Blob");
const types = await openapiTS(pathToFileURL(source), {
  defaultNonNullable: false, // a request may leave out a field that has a default
  transform: (schema) => (schema.format === "binary" ? blob : undefined), // a file is no string
});
await mkdir(dirname(file), { recursive: true });
await writeFile(file, astToString(types));

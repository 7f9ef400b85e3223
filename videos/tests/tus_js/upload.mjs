// Uploads a file with tus-js-client, in parallel parts or in chunks; prints its address.
import { createReadStream } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, token, path, parallel, chunkSize = "700000", title = "By tus-js-client"] = process.argv.slice(2);
const upload = new Upload(createReadStream(path), {
  endpoint,
  chunkSize: Number(chunkSize),
  retryDelays: [0, 200, 500, 1000, 2000, 2000, 2000, 2000, 2000, 2000],
  parallelUploads: Number(parallel),
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "from-js.mp4", title },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => console.log(upload.url),
});
upload.start();

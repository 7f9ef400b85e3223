// Uploads the file of the page's input with Uppy's plugin for tus. `window.outcome` tells what became of it.
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

window.begin = (endpoint, token) => {
  const uppy = new Uppy({ autoProceed: true });
  uppy.use(Tus, {
    endpoint,
    chunkSize: 4 * 1024 * 1024,
    retryDelays: [0, 200, 500, 1000, 2000, 2000, 2000, 2000, 2000, 2000],
    headers: { Authorization: `Bearer ${token}` },
    allowedMetaFields: ["filename", "title"],
  });
  uppy.on("complete", ({ successful, failed }) => {
    window.outcome = failed.length ? String(failed[0].error) : successful[0].uploadURL;
  });
  const file = document.querySelector("input").files[0];
  uppy.addFile({ name: file.name, type: file.type, data: file, meta: { filename: "clip.mp4", title: "A video" } });
};

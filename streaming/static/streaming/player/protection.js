// Common encryption (cbcs) in a browser: whether it can play a session's video, and how hls.js gets the keys.

const ROBUSTNESS = { "com.widevine.alpha": "SW_SECURE_CRYPTO" }; // Chrome warns of a choice that is not made.
const TYPES = ['video/mp4; codecs="avc1.42E01E"', 'audio/mp4; codecs="mp4a.40.2"'];
const INSECURE =
  "This video is encrypted, and browsers play such videos only over HTTPS. Open this page with an address that" +
  " begins with https://.";
const NO_SYSTEM =
  "This browser cannot play this video: it is encrypted, and the browser has none of the key systems that open" +
  " it. Try a current Chrome, Edge, Firefox or Safari.";
const NO_LICENCE = "This video is encrypted, and cannot be played at the moment: nobody gives its keys.";

/** Return why this browser cannot play what a session's `drm` says, in words; "" if it can, or without it. */
export async function whyNot(drm) {
  if (!drm) return "";
  if (!drm.systems.length) return NO_LICENCE;
  if (!navigator.requestMediaKeySystemAccess) return globalThis.isSecureContext ? NO_SYSTEM : INSECURE;
  for (const { key_system: system } of drm.systems) {
    const [video, audio] = TYPES.map((contentType) => ({
      contentType,
      encryptionScheme: drm.scheme,
      robustness: ROBUSTNESS[system] ?? "",
    }));
    const wanted = { initDataTypes: ["cenc", "sinf"], videoCapabilities: [video], audioCapabilities: [audio] };
    const access = await navigator.requestMediaKeySystemAccess(system, [wanted]).catch(() => null);
    if (access) return "";
  }
  return NO_SYSTEM;
}

/** Return the settings of hls.js for a session's `drm`. */
export function protectionOf({ scheme, systems }) {
  const { Hls } = globalThis;
  const drmSystems = {};
  for (const { key_system: system, licence_url: licenseUrl, certificate_url: certificate } of systems) {
    drmSystems[system] = { licenseUrl, ...(certificate && { serverCertificateUrl: certificate }) };
  }
  return {
    emeEnabled: true,
    drmSystems,
    drmSystemOptions: { audioEncryptionScheme: scheme, videoEncryptionScheme: scheme },
    pLoader: withoutIdentity(Hls.DefaultConfig.loader),
  };
}

/**
 * A loader of playlists that drops the keys for players that decrypt by themselves. hls.js would choose them,
 * and can decrypt samples of MP4 only by the browser.
 */
function withoutIdentity(Loader) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...more) => {
        if (typeof response.data === "string")
          response.data = response.data.replace(/^#EXT-X-KEY:.*KEYFORMAT="identity".*\n/gm, "");
        callbacks.onSuccess(response, ...more);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}
